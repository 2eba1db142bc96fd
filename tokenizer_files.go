package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Step 7 of the lesson, a tokenizer's files: its vocabulary, as vocab.txt or inside a
// tokenizer.json, and the rules by which it cuts text into words.

const (
	vocabFile           = "vocab.txt"
	tokenizerConfigFile = "tokenizer_config.json"
	tokenizerFile       = "tokenizer.json" // read where there is no vocab.txt
)

// TokenizerConfig is tokenizer_config.json as it is written.
type TokenizerConfig struct {
	TokenizerClass string `json:"tokenizer_class"`
	tokenizerSettings
	ModelMaxLength int    `json:"model_max_length"`
	PadToken       string `json:"pad_token"`
	UnkToken       string `json:"unk_token"`
	ClsToken       string `json:"cls_token"`
	SepToken       string `json:"sep_token"`
	MaskToken      string `json:"mask_token"`
}

// tokenizerSettings are what is read of it; null is Hugging Face's default. (In
// published files the other fields can be what would not fit here, such as 1e30.)
type tokenizerSettings struct {
	DoLowerCase          *bool `json:"do_lower_case"`
	StripAccents         *bool `json:"strip_accents"`
	TokenizeChineseChars *bool `json:"tokenize_chinese_chars"`
}

// Settings are the rules as tokenizer_config.json has them.
func (rules Rules) Settings() tokenizerSettings {
	s := tokenizerSettings{&rules.LowerCase, &rules.StripAccents, &rules.SplitChinese}
	if rules.StripAccents == rules.LowerCase {
		s.StripAccents = nil
	}
	return s
}

// rules are those that the settings mean.
func (s tokenizerSettings) rules() Rules {
	rules := RulesFor(s.DoLowerCase == nil || *s.DoLowerCase)
	if s.StripAccents != nil {
		rules.StripAccents = *s.StripAccents
	}
	if s.TokenizeChineseChars != nil {
		rules.SplitChinese = *s.TokenizeChineseChars
	}
	return rules
}

// ReadVocabulary reads vocab.txt: a word a line.
func ReadVocabulary(r io.Reader) ([]string, error) {
	var words []string
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		words = append(words, strings.TrimRight(lines.Text(), "\r"))
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("line %d: %w", len(words)+1, err)
	}
	return words, nil
}

// WriteVocabulary writes vocab.txt.
func WriteVocabulary(w io.Writer, words []string) error {
	_, err := io.WriteString(w, strings.Join(words, "\n")+"\n")
	return err
}

// LoadTokenizer reads the tokenizer of the model folder dir.
func LoadTokenizer(dir string) (*Tokenizer, error) {
	settings := tokenizerSettings{}
	name := filepath.Join(dir, tokenizerConfigFile)
	data, err := readSmall(name)
	if err == nil {
		err = wrap(name, json.Unmarshal(data, &settings))
	} else if errors.Is(err, os.ErrNotExist) {
		err = nil // a vocabulary alone is taken for an uncased one
	}
	if err != nil {
		return nil, err
	}
	vocabulary := filepath.Join(dir, vocabFile)
	if file := filepath.Join(dir, tokenizerFile); !isFile(vocabulary) && isFile(file) {
		vocabulary = file
	}
	t, err := LoadVocabulary(vocabulary, true)
	if err == nil {
		t.Rules = settings.rules()
	}
	return t, err
}

// LoadVocabulary reads a vocabulary file: a vocab.txt or a tokenizer.json.
func LoadVocabulary(name string, lowerCase bool) (*Tokenizer, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	read := ReadVocabulary
	if filepath.Ext(name) == ".json" {
		read = readTokenizerFile
	}
	words, err := read(f)
	if err != nil {
		return nil, wrap(name, err)
	}
	t, err := NewTokenizer(words, lowerCase)
	return t, wrap(name, err)
}

// readTokenizerFile reads the vocabulary in a tokenizer.json, the only file that
// Hugging Face's newer versions save it in.
func readTokenizerFile(r io.Reader) ([]string, error) {
	var file struct {
		Model struct {
			Type   string         `json:"type"`
			Prefix string         `json:"continuing_subword_prefix"`
			Vocab  map[string]int `json:"vocab"`
		} `json:"model"`
	}
	if err := json.NewDecoder(r).Decode(&file); err != nil {
		return nil, err
	}
	if m := file.Model; m.Type != "" && m.Type != "WordPiece" || m.Prefix != continuing {
		return nil, fmt.Errorf("the model is a %q with the prefix %q, want a WordPiece with %q", m.Type, m.Prefix, continuing)
	}
	words, taken := make([]string, len(file.Model.Vocab)), make([]bool, len(file.Model.Vocab))
	for word, id := range file.Model.Vocab {
		if id < 0 || id >= len(words) || taken[id] {
			return nil, fmt.Errorf("the vocabulary's ids are not 0 to %d, each once: %q has %d", len(words)-1, word, id)
		}
		words[id], taken[id] = word, true
	}
	return words, nil
}
