package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// Step 7 of the lesson, tokenizer.json: a tokenizer in one file, as Hugging Face's fast
// tokenizers have it. What is not a BERT tokenizer's is refused by name.

const tokenizerFile = "tokenizer.json"

// maxVocabularyFile is as many bytes as a vocabulary may have, in vocab.txt or tokenizer.json.
const maxVocabularyFile = 1 << 25

// TokenizerJSON is tokenizer.json.
type TokenizerJSON struct {
	Version       string          `json:"version"`
	Truncation    any             `json:"truncation"`
	Padding       any             `json:"padding"`
	Added         []NumberedToken `json:"added_tokens"`
	Normalizer    Normalizer      `json:"normalizer"`
	PreTokenizer  Typed           `json:"pre_tokenizer"`
	PostProcessor map[string]any  `json:"post_processor"`
	Decoder       any             `json:"decoder"`
	Model         WordPiece       `json:"model"`
}

// A NumberedToken is one of added_tokens.
type NumberedToken struct {
	ID int32 `json:"id"`
	AddedToken
}

// Typed is a part of which the type is enough.
type Typed struct {
	Type string `json:"type"`
}

// Normalizer is a BertNormalizer.
type Normalizer struct {
	Type         string `json:"type"`
	CleanText    *bool  `json:"clean_text"`
	ChineseChars *bool  `json:"handle_chinese_chars"`
	StripAccents *bool  `json:"strip_accents"`
	LowerCase    *bool  `json:"lowercase"`
}

// WordPiece is the model.
type WordPiece struct {
	Type           string         `json:"type"`
	Unk            string         `json:"unk_token"`
	Prefix         string         `json:"continuing_subword_prefix"`
	MostCharacters *int           `json:"max_input_chars_per_word"`
	Vocabulary     map[string]int `json:"vocab"`
}

// check returns an error that names the first part that is not known here.
func (f *TokenizerJSON) check() error {
	switch m := f.Model; {
	case m.Type != "" && m.Type != "WordPiece" || m.Prefix != continuing:
		return fmt.Errorf("the model is a %q with the prefix %q, want a WordPiece with %q", m.Type, m.Prefix, continuing)
	case m.Unk != "" && m.Unk != unkToken:
		return fmt.Errorf("the model's unk_token is %q, want %q", m.Unk, unkToken)
	case m.MostCharacters != nil && *m.MostCharacters < 1:
		return fmt.Errorf("max_input_chars_per_word is %d, want 1 or more", *m.MostCharacters)
	case f.Normalizer.Type != "BertNormalizer":
		return fmt.Errorf("the normalizer is %q, want \"BertNormalizer\"", f.Normalizer.Type)
	case f.Normalizer.CleanText != nil && !*f.Normalizer.CleanText:
		return errors.New("the normalizer's clean_text is false, want true")
	case f.PreTokenizer.Type != "BertPreTokenizer":
		return fmt.Errorf("the pre_tokenizer is %q, want \"BertPreTokenizer\"", f.PreTokenizer.Type)
	}
	return nil
}

// CheckProcessor returns an error if the post_processor does not make [CLS] A [SEP] B [SEP], with
// the ids of t, or if there is none and may not be none.
func (f *TokenizerJSON) CheckProcessor(t *Tokenizer, none bool) error {
	want := map[string]any{}
	switch kind := f.PostProcessor["type"]; {
	case kind == "TemplateProcessing":
		want = PairTemplate(t)
		if all, ok := f.PostProcessor["special_tokens"].(map[string]any); ok { // of which the others are not used
			maps.DeleteFunc(all, func(token string, _ any) bool { return token != clsToken && token != sepToken })
		}
	case kind == "BertProcessing":
		want["cls"], want["sep"] = []any{clsToken, t.cls}, []any{sepToken, t.sep}
	case kind != nil || !none:
		found, _ := json.Marshal(kind) // null or a name
		return fmt.Errorf("the post_processor is %s, want one that makes [CLS] A [SEP] B [SEP]", found)
	}
	for _, part := range slices.Sorted(maps.Keys(want)) {
		found, _ := json.Marshal(f.PostProcessor[part])
		if want, _ := json.Marshal(want[part]); !bytes.Equal(found, want) {
			return fmt.Errorf("the post_processor's %s is %.200s, want %s", part, found, want)
		}
	}
	return nil
}

// LoadTokenizerJSON reads a tokenizer.json.
func LoadTokenizerJSON(name string) (*TokenizerJSON, error) {
	data, err := readUpTo(name, maxVocabularyFile)
	if err != nil {
		return nil, err
	}
	file := &TokenizerJSON{}
	if err := cmp.Or(decodeJSON(bytes.NewReader(data), file), checkNames(data, reflect.TypeOf(*file))); err != nil {
		return nil, wrap(name, err)
	}
	return file, wrap(name, file.check())
}

// Words are the vocabulary by its ids. A few ids may have no word.
func (f *TokenizerJSON) Words() ([]string, error) {
	most := len(f.Model.Vocabulary) - 1
	for _, token := range f.Added {
		if _, ok := f.Model.Vocabulary[token.Content]; !ok {
			most++
		}
	}
	words, n := make([]string, most+1), 0
	for word, id := range f.Model.Vocabulary {
		if id < 0 || id > most || words[id] != "" {
			return nil, fmt.Errorf("the vocabulary's ids are not 0 to %d, each once: %q has %d", most, word, id)
		}
		words[id], n = word, max(n, id+1)
	}
	return words[:n], nil
}

// AddedByID are the added tokens by their ids.
func (f *TokenizerJSON) AddedByID() map[int32]AddedToken {
	added := map[int32]AddedToken{}
	for _, token := range f.Added {
		added[token.ID] = token.AddedToken
	}
	return added
}

// PairTemplate is [CLS] A [SEP] B [SEP] in the words of tokenizer.json.
func PairTemplate(t *Tokenizer) map[string]any {
	special := func(token string, segment int) any {
		return map[string]any{"SpecialToken": map[string]any{"id": token, "type_id": segment}}
	}
	sentence := func(name string, segment int) any {
		return map[string]any{"Sequence": map[string]any{"id": name, "type_id": segment}}
	}
	tokens := map[string]any{}
	for token, id := range map[string]int32{clsToken: t.cls, sepToken: t.sep} {
		tokens[token] = map[string]any{"id": token, "ids": []int32{id}, "tokens": []string{token}}
	}
	single := []any{special(clsToken, 0), sentence("A", 0), special(sepToken, 0)}
	return map[string]any{
		"type": "TemplateProcessing", "single": single, "pair": append(single[:3:3], sentence("B", 1), special(sepToken, 1)), "special_tokens": tokens,
	}
}
