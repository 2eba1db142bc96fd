package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Step 7 of the lesson: the saved model. A model is a folder as Hugging Face
// saves one, so that it goes on there with
// BertForPreTraining.from_pretrained(folder):
//
//	config.json            the sizes (Config)
//	vocab.txt              the vocabulary, a word a line
//	tokenizer_config.json  whether the vocabulary is lower-case, and the like
//	model.safetensors      the parameters by name
//
// Nothing that is read is believed: whatever could make the program go wrong or
// ask for too much memory is checked first, and an error names the file.

const (
	configFile          = "config.json"
	vocabFile           = "vocab.txt"
	tokenizerConfigFile = "tokenizer_config.json"
	tokenizerFile       = "tokenizer.json" // read where there is no vocab.txt
	modelFile           = "model.safetensors"
)

// tokenizerConfig is tokenizer_config.json as it is written.
type tokenizerConfig struct {
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

// settings are the rules as tokenizer_config.json has them.
func (rules Rules) settings() tokenizerSettings {
	s := tokenizerSettings{&rules.LowerCase, &rules.StripAccents, &rules.SplitChinese}
	if rules.StripAccents == rules.LowerCase {
		s.StripAccents = nil
	}
	return s
}

// rules are those that the settings mean.
func (s tokenizerSettings) rules() Rules {
	rules := rulesFor(s.DoLowerCase == nil || *s.DoLowerCase)
	if s.StripAccents != nil {
		rules.StripAccents = *s.StripAccents
	}
	if s.TokenizeChineseChars != nil {
		rules.SplitChinese = *s.TokenizeChineseChars
	}
	return rules
}

// SaveModel writes the model folder dir, making it if need be.
func SaveModel(dir string, m *Model, t *Tokenizer) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	m.Config.PadTokenID = int(t.pad)
	settings := tokenizerConfig{
		"BertTokenizer", t.Rules.settings(), m.Config.MaxPositionEmbeddings,
		padToken, unkToken, clsToken, sepToken, maskToken,
	}
	for _, file := range []struct {
		name  string
		write func(io.Writer) error
	}{
		{configFile, func(w io.Writer) error { return writeJSON(w, m.Config) }},
		{vocabFile, func(w io.Writer) error { return WriteVocabulary(w, t.Words) }},
		{tokenizerConfigFile, func(w io.Writer) error { return writeJSON(w, settings) }},
		{modelFile, func(w io.Writer) error { return writeSafetensors(w, m.List) }},
	} {
		if err := writeFile(filepath.Join(dir, file.name), file.write); err != nil {
			return err
		}
	}
	return nil
}

func writeJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}

// writeFile writes a file under a temporary name, flushes it to the disk and
// renames it: whatever happens, name is the old file or the new one, whole.
func writeFile(name string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // does nothing after the renaming
	buffered := bufio.NewWriterSize(f, 1<<20)
	err = write(buffered)
	for _, finish := range []func() error{buffered.Flush, func() error { return f.Chmod(0o644) }, f.Sync} {
		if err == nil {
			err = finish()
		}
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// LoadModel reads the model folder dir.
func LoadModel(dir string) (*Model, *Tokenizer, error) {
	config, err := loadConfig(filepath.Join(dir, configFile))
	if err != nil {
		return nil, nil, err
	}
	t, err := LoadTokenizer(dir)
	if err != nil {
		return nil, nil, err
	}
	if len(t.Words) > config.VocabSize {
		return nil, nil, fmt.Errorf("%s has %d words, %s has vocab_size %d", filepath.Join(dir, vocabFile), len(t.Words), configFile, config.VocabSize)
	}
	m, err := loadParameters(filepath.Join(dir, modelFile), config)
	return m, t, err
}

func loadConfig(name string) (Config, error) {
	config := defaultConfig()
	data, err := os.ReadFile(name)
	if err == nil {
		err = wrap(name, json.Unmarshal(data, &config))
	}
	if err == nil {
		err = wrap(name, config.Check())
	}
	return config, err
}

// wrap puts the name of the file before an error.
func wrap(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", name, err)
}

// LoadTokenizer reads the tokenizer of the model folder dir.
func LoadTokenizer(dir string) (*Tokenizer, error) {
	settings := tokenizerSettings{}
	name := filepath.Join(dir, tokenizerConfigFile)
	data, err := os.ReadFile(name)
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

func isFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
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

// loadParameters makes a model and reads its parameters, once it is certain that
// the file has them all.
func loadParameters(name string, config Config) (*Model, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	tensors, err := readSafetensorsHeader(f, info.Size())
	if err != nil {
		return nil, wrap(name, err)
	}
	m, err := newModel(config)
	if err != nil {
		return nil, wrap(name, err)
	}
	found := make([]tensor, len(m.List))
	for i, p := range m.List {
		var ok bool
		if found[i], ok = findTensor(tensors, p.Name); !ok {
			return nil, fmt.Errorf("%s: tensor %s is missing", name, p.Name)
		}
		if found[i].DType != "F32" {
			return nil, fmt.Errorf("%s: tensor %s is %s, want F32", name, p.Name, found[i].DType)
		}
		if !slices.Equal(found[i].Shape, p.Shape) {
			return nil, fmt.Errorf("%s: tensor %s has shape %v, want %v by %s", name, p.Name, found[i].Shape, p.Shape, configFile)
		}
	}
	m.allocate()
	for i, p := range m.List {
		if err := found[i].read(f, p.Value); err != nil {
			return nil, fmt.Errorf("%s: tensor %s: %w", name, p.Name, err)
		}
	}
	return m, nil
}

// A safetensors file is the length of a header (8 bytes, little-endian), the
// header in JSON, and the numbers. The header has an object for each tensor:
//
//	"bert.pooler.dense.bias": {"dtype": "F32", "shape": [64], "data_offsets": [0, 256]}
//
// with offsets from the end of the header, and "__metadata__" beside them.

// tensor is where a tensor lies in a file.
type tensor struct {
	DType   string   `json:"dtype"`
	Shape   []int    `json:"shape"`
	Offsets [2]int64 `json:"data_offsets"`
	base    int64    // of the offsets in the file
}

const (
	metadataKey      = "__metadata__"
	maxHeaderLength  = 100_000_000 // as in the safetensors library
	bytesOfF32       = 4
	headerLengthSize = 8
)

// writeSafetensors writes the parameters, in their order.
func writeSafetensors(w io.Writer, list []*Param) error {
	var header bytes.Buffer
	header.WriteString(`{"` + metadataKey + `":{"format":"pt"}`)
	offset := int64(0)
	for _, p := range list {
		end := offset + int64(p.size())*bytesOfF32
		entry, err := json.Marshal(tensor{DType: "F32", Shape: p.Shape, Offsets: [2]int64{offset, end}})
		if err != nil {
			return err
		}
		fmt.Fprintf(&header, ",%q:%s", p.Name, entry)
		offset = end
	}
	header.WriteByte('}')
	for header.Len()%8 != 0 { // so that the numbers are aligned
		header.WriteByte(' ')
	}
	if err := binary.Write(w, binary.LittleEndian, uint64(header.Len())); err != nil {
		return err
	}
	if _, err := header.WriteTo(w); err != nil {
		return err
	}
	var buf [4096 * bytesOfF32]byte
	for _, p := range list {
		for chunk := range slices.Chunk(p.Value, len(buf)/bytesOfF32) {
			for i, v := range chunk {
				binary.LittleEndian.PutUint32(buf[i*bytesOfF32:], math.Float32bits(v))
			}
			if _, err := w.Write(buf[:len(chunk)*bytesOfF32]); err != nil {
				return err
			}
		}
	}
	return nil
}

// readSafetensorsHeader reads where each tensor is, in a file of so many bytes,
// and checks that all lie inside the file and have the size of their shape.
func readSafetensorsHeader(r io.ReaderAt, size int64) (map[string]tensor, error) {
	var length [headerLengthSize]byte
	if _, err := r.ReadAt(length[:], 0); err != nil {
		return nil, fmt.Errorf("the file has %d bytes, too few for a safetensors file", size)
	}
	n := binary.LittleEndian.Uint64(length[:])
	if n > maxHeaderLength || int64(n) > size-headerLengthSize {
		return nil, fmt.Errorf("the header is said to have %d bytes, in a file of %d: the file was cut short, or is no safetensors file", n, size)
	}
	header := make([]byte, n)
	if _, err := r.ReadAt(header, headerLengthSize); err != nil {
		return nil, err
	}
	var entries map[string]json.RawMessage
	if err := json.Unmarshal(header, &entries); err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	base := headerLengthSize + int64(n)
	tensors := map[string]tensor{}
	for name, entry := range entries {
		if name == metadataKey {
			continue
		}
		t := tensor{base: base}
		if err := json.Unmarshal(entry, &t); err != nil {
			return nil, fmt.Errorf("header: tensor %q: %w", name, err)
		}
		if err := t.check(size - base); err != nil {
			return nil, fmt.Errorf("header: tensor %q: %w", name, err)
		}
		tensors[name] = t
	}
	return tensors, nil
}

// check looks at a tensor in a file that has room bytes of numbers.
func (t *tensor) check(room int64) error {
	begin, end := t.Offsets[0], t.Offsets[1]
	if begin < 0 || end < begin {
		return fmt.Errorf("data_offsets are %v, want a beginning and an end", t.Offsets)
	}
	if end > room {
		return fmt.Errorf("data_offsets are %v, but the file has %d bytes of numbers: it was cut short", t.Offsets, room)
	}
	count := int64(1)
	for _, d := range t.Shape {
		if d < 0 || d > 0 && count > room/int64(d) {
			return fmt.Errorf("shape %v is too large for the file", t.Shape)
		}
		count *= int64(d)
	}
	if t.DType == "F32" && end-begin != count*bytesOfF32 {
		return fmt.Errorf("data_offsets are %v, want %d bytes for shape %v", t.Offsets, count*bytesOfF32, t.Shape)
	}
	return nil
}

// read reads the numbers of a tensor into values, which has room for them.
func (t *tensor) read(r io.ReaderAt, values []float32) error {
	numbers := bufio.NewReaderSize(io.NewSectionReader(r, t.base+t.Offsets[0], t.Offsets[1]-t.Offsets[0]), 1<<16)
	var buf [bytesOfF32]byte
	for i := range values {
		if _, err := io.ReadFull(numbers, buf[:]); err != nil {
			return err
		}
		values[i] = math.Float32frombits(binary.LittleEndian.Uint32(buf[:]))
	}
	return nil
}

// findTensor finds a parameter under Hugging Face's name, or the names of older
// files: gamma and beta in a LayerNorm, or without "bert." before them.
func findTensor(tensors map[string]tensor, name string) (tensor, bool) {
	old := name
	if strings.Contains(name, "LayerNorm") {
		old = strings.NewReplacer(".weight", ".gamma", ".bias", ".beta").Replace(name)
	}
	for _, n := range []string{name, old} {
		for _, n := range []string{n, strings.TrimPrefix(n, "bert.")} {
			if t, ok := tensors[n]; ok {
				return t, true
			}
		}
	}
	return tensor{}, false
}
