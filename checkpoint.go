package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
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
	pickleFile          = "pytorch_model.bin" // how PyTorch saved models before
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
	return saveFiles(dir, dir, modelFiles(m, t))
}

// A savedFile is a file of a folder, and what writes it.
type savedFile struct {
	name  string
	write func(io.Writer) error
}

// modelFiles are the files of a model folder.
func modelFiles(m *Model, t *Tokenizer) []savedFile {
	m.Config.PadTokenID = int(t.pad)
	settings := tokenizerConfig{
		"BertTokenizer", t.Rules.settings(), m.Config.MaxPositionEmbeddings,
		padToken, unkToken, clsToken, sepToken, maskToken,
	}
	return []savedFile{
		{configFile, func(w io.Writer) error { return writeJSON(w, m.Config) }},
		{vocabFile, func(w io.Writer) error { return WriteVocabulary(w, t.Words) }},
		{tokenizerConfigFile, func(w io.Writer) error { return writeJSON(w, settings) }},
		{modelFile, func(w io.Writer) error { return writeSafetensors(w, m.List) }},
	}
}

// saveFiles writes files to the folder dir, one after the other. The folder may get
// another name when all is done; an error names the file as it would be called then.
func saveFiles(dir, inTheEnd string, files []savedFile) error {
	for _, file := range files {
		if err := replaceFile(filepath.Join(dir, file.name), file.write); err != nil {
			return wrap(filepath.Join(inTheEnd, file.name), err)
		}
	}
	return wrap(inTheEnd, syncFolder(dir))
}

func writeJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}

// disk is what saving asks of the operating system. Tests put in its place what
// fails, as a full disk does.
var disk = struct {
	create func(dir, pattern string) (*os.File, error) // under a new name
	mkdir  func(name string, mode os.FileMode) error
	write  func(f *os.File, p []byte) (int, error)
	sync   func(f *os.File) error // of a file or a folder to the disk
	rename func(from, to string) error
}{os.CreateTemp, os.Mkdir, (*os.File).Write, (*os.File).Sync, os.Rename}

// diskWriter writes to a file through disk.
type diskWriter struct{ f *os.File }

func (w diskWriter) Write(p []byte) (int, error) { return disk.write(w.f, p) }

// writeFile writes a file as replaceFile does. An error names it.
func writeFile(name string, write func(io.Writer) error) error {
	return wrap(name, replaceFile(name, write))
}

// replaceFile writes a file under a temporary name, flushes it to the disk and
// renames it: whatever happens, name is the old file or the new one, whole.
func replaceFile(name string, write func(io.Writer) error) error {
	f, err := disk.create(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // does nothing after the renaming
	buffered := bufio.NewWriterSize(diskWriter{f}, 1<<16)
	err = write(buffered)
	for _, finish := range []func() error{buffered.Flush, func() error { return f.Chmod(0o644) }, func() error { return disk.sync(f) }} {
		if err == nil {
			err = finish()
		}
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = disk.rename(f.Name(), name)
	}
	return err
}

// syncFolder flushes a folder's list of files to the disk: only then is what was
// renamed in it safe from a loss of power.
func syncFolder(dir string) error {
	if runtime.GOOS == "windows" { // where folders cannot be flushed
		return nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return disk.sync(f)
}

// LoadModel reads the model folder dir.
func LoadModel(dir string) (*Model, *Tokenizer, error) {
	m, t, _, err := loadModel(dir)
	return m, t, err
}

// loadModel is LoadModel. It also returns the heads that were not in the file and
// are new.
func loadModel(dir string) (*Model, *Tokenizer, []string, error) {
	config, err := loadConfig(filepath.Join(dir, configFile))
	if err != nil {
		return nil, nil, nil, err
	}
	t, err := LoadTokenizer(dir)
	if err != nil {
		return nil, nil, nil, err
	}
	if len(t.Words) > config.VocabSize {
		return nil, nil, nil, fmt.Errorf("%s has %d words, %s has vocab_size %d", filepath.Join(dir, vocabFile), len(t.Words), configFile, config.VocabSize)
	}
	name := filepath.Join(dir, modelFile)
	m, fresh, err := loadParameters(name, config)
	if errors.Is(err, os.ErrNotExist) {
		if pickle := filepath.Join(dir, pickleFile); exists(pickle) {
			err = fmt.Errorf("%s is a pickle, which can hold any program, and is not read; to convert it: "+
				`python3 -c 'import sys; from transformers import AutoModelForPreTraining as M; M.from_pretrained(sys.argv[1]).save_pretrained(sys.argv[1], safe_serialization=True)' %q`, pickle, dir)
		}
	}
	return m, t, fresh, err
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

// maxJSON is the most that a file of settings may have.
const maxJSON = 1 << 20

// readSmall reads a file of settings.
func readSmall(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxJSON+1))
	if err == nil && len(data) > maxJSON {
		err = fmt.Errorf("it has more than %d bytes", maxJSON)
	}
	return data, wrap(name, err)
}

// loadConfig reads config.json. What this BERT cannot be is an error; what the
// file leaves open is as in Hugging Face.
func loadConfig(name string) (Config, error) {
	config := struct {
		Config
		PositionEmbeddingType string `json:"position_embedding_type"`
		TieWordEmbeddings     bool   `json:"tie_word_embeddings"`
		IsDecoder             bool   `json:"is_decoder"`
	}{defaultConfig(), "absolute", true, false}
	data, err := readSmall(name)
	if err != nil {
		return config.Config, err
	}
	if err := json.Unmarshal(data, &config); err != nil {
		return config.Config, wrap(name, err)
	}
	if config.architecture() == preTraining { // also of what was saved as something smaller
		config.Architectures = defaultConfig().Architectures
	}
	switch err = config.Check(); {
	case err != nil:
	case config.PositionEmbeddingType != "absolute":
		err = fmt.Errorf("position_embedding_type is %q, want \"absolute\"", config.PositionEmbeddingType)
	case !config.TieWordEmbeddings:
		err = errors.New("tie_word_embeddings is false, want true: the MLM head is tied to the embeddings")
	case config.IsDecoder:
		err = errors.New("is_decoder is true, want false: an encoder")
	}
	return config.Config, wrap(name, err)
}

// wrap puts the name of the file before an error. The system's errors have a name in
// them already, which is that of a temporary file where one is written: it goes.
func wrap(name string, err error) error {
	switch e := err.(type) {
	case nil:
		return nil
	case *os.PathError:
		err = e.Err
	case *os.LinkError:
		err = e.Err
	}
	return fmt.Errorf("%s: %w", name, err)
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

// heads are the parts of a model that a file may lack, since smaller models are saved
// without: the beginnings of their parameters' names, and what they are called.
var heads = [][2]string{{"bert.pooler.", "the pooler"}, {"cls.predictions.", "the MLM head"}, {"cls.seq_relationship.", "the NSP head"}}

// headOf is the head that a parameter belongs to, or "".
func headOf(name string) string {
	for _, head := range heads {
		if strings.HasPrefix(name, head[0]) {
			return head[1]
		}
	}
	return ""
}

// freshSeed makes the heads that a file lacks.
const freshSeed = 1

// loadParameters makes a model and reads its parameters, once it is certain that
// the file has them all, but for heads of which it has nothing: these are new.
func loadParameters(name string, config Config) (m *Model, fresh []string, err error) {
	f, tensors, err := openSafetensors(name)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	if m, err = newModel(config); err != nil {
		return nil, nil, wrap(name, err)
	}
	found, has := make([]*tensor, len(m.List)), map[string]bool{}
	for i, p := range m.List {
		if t, ok := findTensor(tensors, p.Name); ok {
			found[i], has[headOf(p.Name)] = &t, true
		}
	}
	for i, p := range m.List {
		switch t, head := found[i], headOf(p.Name); {
		case t == nil && head != "" && !has[head] && config.architecture() == preTraining:
			if !slices.Contains(fresh, head) {
				fresh = append(fresh, head)
			}
		case t == nil:
			err = errors.New("is missing")
		case t.DType != "F32" && t.DType != "F16" && t.DType != "BF16":
			err = fmt.Errorf("is %s, want F32, F16 or BF16", t.DType)
		case !slices.Equal(t.Shape, p.Shape):
			err = fmt.Errorf("has shape %v, want %v by %s", t.Shape, p.Shape, configFile)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("%s: tensor %s %w", name, p.Name, err)
		}
	}
	m.allocate()
	if len(fresh) > 0 {
		m.initialize(freshSeed, float32(config.InitializerRange))
	}
	return m, fresh, wrap(name, readTensors(f, m.List, found))
}

// readTensors reads the parameters' values, but for those that are not found (nil).
func readTensors(f io.ReaderAt, list []*Param, found []*tensor) error {
	for i, p := range list {
		if found[i] == nil {
			continue
		}
		if err := found[i].read(f, p.Value); err != nil {
			return fmt.Errorf("tensor %s: %w", p.Name, err)
		}
	}
	return nil
}

// openSafetensors opens a file and reads its header.
func openSafetensors(name string) (*os.File, map[string]tensor, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil {
		var tensors map[string]tensor
		if tensors, err = readSafetensorsHeader(f, info.Size()); err == nil {
			return f, tensors, nil
		}
	}
	f.Close()
	return nil, nil, wrap(name, err)
}

// findTensor finds a parameter under Hugging Face's name, or one of those that
// other files have: gamma and beta in a LayerNorm, no "bert." before them, the
// bias of the MLM head as its decoder's.
func findTensor(tensors map[string]tensor, name string) (tensor, bool) {
	old := name
	if strings.Contains(name, "LayerNorm") {
		old = strings.NewReplacer(".weight", ".gamma", ".bias", ".beta").Replace(name)
	}
	if name == "cls.predictions.bias" {
		old = "cls.predictions.decoder.bias"
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
