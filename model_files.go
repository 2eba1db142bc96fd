package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
//	model.safetensors      the parameters by name (safetensors.go)
//	vocab.txt, tokenizer_config.json, tokenizer.json (tokenizer_files.go)
//
// Nothing that is read is believed: whatever could make the program go wrong or
// ask for too much memory is checked first, and an error names the file.

// modelFiles are their names, in the order in which they are saved.
var modelFiles = []string{configFile, vocabFile, tokenizerConfigFile, tokenizerFile, modelFile}

// savingFolder is where the files of a model folder are while they are written. Then they are
// renamed one by one, the parameters last, without which there is no model.
const savingFolder = ".saving"

// SaveModel writes the model folder dir, making it if need be. A model that is there gives
// way to the new one: if nothing but the parameters is new, at once, in one renaming.
func SaveModel(dir string, m *Model, t *Tokenizer) error {
	aside, files := filepath.Join(dir, savingFolder), ModelFiles(m, t)
	err := cmp.Or(os.MkdirAll(dir, 0o777), removeAll(aside), wrap(dir, disk.mkdir(aside, 0o777)))
	if err == nil {
		err = saveFiles(aside, dir, files)
	}
	if old := filepath.Join(dir, modelFile); err == nil && exists(old) && !haveSame(dir, aside, files[:len(files)-1]) {
		err = os.Remove(old)
	}
	for _, file := range files {
		if name := filepath.Join(dir, file.name); err == nil {
			err = wrap(name, disk.rename(filepath.Join(aside, file.name), name))
		}
	}
	UndoSaving(dir)
	return cmp.Or(err, wrap(dir, syncFolder(dir)))
}

// haveSame tells whether files are the same in two folders.
func haveSame(a, b string, files []savedFile) bool {
	return !slices.ContainsFunc(files, func(file savedFile) bool {
		one, errOne := fileSum(filepath.Join(a, file.name))
		other, errOther := fileSum(filepath.Join(b, file.name))
		return errOne != nil || errOther != nil || one != other
	})
}

// UndoSaving removes what is left of a saving that was cut off: of one that came to the
// renaming but not to its end, also the files that have their names already.
func UndoSaving(dir string) {
	aside := filepath.Join(dir, savingFolder)
	if exists(filepath.Join(aside, modelFile)) && !exists(filepath.Join(dir, modelFile)) {
		for _, name := range modelFiles {
			if !exists(filepath.Join(aside, name)) {
				os.Remove(filepath.Join(dir, name))
			}
		}
	}
	removeAll(aside)
}

// ModelFiles are the files of a model folder. (It puts the tokenizer's [PAD] into Config.)
func ModelFiles(m *Model, t *Tokenizer) []savedFile {
	m.Config.PadTokenID = int(t.pad)
	files := []savedFile{{configFile, func(w io.Writer) error { return writeJSON(w, m.Config) }}}
	files = append(files, TokenizerFiles(t, m.Config.MaxPositionEmbeddings)...)
	return append(files, savedFile{modelFile, func(w io.Writer) error { return WriteSafetensors(w, m.List) }})
}

// LoadModel reads the model folder dir. It also returns the parts that were not in the
// file and are new.
func LoadModel(dir string) (*Model, *Tokenizer, []string, error) {
	config, err := loadConfig(filepath.Join(dir, configFile))
	if errors.Is(err, os.ErrNotExist) {
		err = cmp.Or(IsAdapter(dir), err)
	}
	if err != nil {
		return nil, nil, nil, err
	}
	t, err := LoadTokenizer(dir)
	if err != nil {
		return nil, nil, nil, err
	}
	if len(t.Vocabulary) > config.VocabSize {
		return nil, nil, nil, fmt.Errorf("%s has %d words, %s has vocab_size %d", filepath.Join(dir, vocabFile), len(t.Vocabulary), configFile, config.VocabSize)
	}
	files, err := OpenWeights(dir)
	if err != nil {
		return nil, nil, nil, err
	}
	defer files.Close()
	m, fresh, err := loadParameters(files, config)
	return m, t, fresh, err
}

// loadConfig reads config.json. What this BERT cannot be is an error; what the
// file leaves open, but for the sizes, is as in Hugging Face.
func loadConfig(name string) (Config, error) {
	config := struct {
		Config
		Label2ID              json.RawMessage `json:"label2id"` // follows from id2label
		PositionEmbeddingType string          `json:"position_embedding_type"`
		IsDecoder             bool            `json:"is_decoder"`
		CrossAttention        bool            `json:"add_cross_attention"`
		PrunedHeads           map[string]any  `json:"pruned_heads"`
		Quantization          map[string]any  `json:"quantization_config"`
	}{Config: DefaultConfig(), PositionEmbeddingType: "absolute"}
	config.Architectures = nil
	if err := readJSON(name, &config); err != nil {
		return config.Config, err
	}
	config.SetIDs()
	err := config.Check()
	switch {
	case err != nil:
	case config.PositionEmbeddingType != "absolute":
		err = fmt.Errorf("position_embedding_type is %q, want \"absolute\"", config.PositionEmbeddingType)
	case config.IsDecoder:
		err = errors.New("is_decoder is true, want false: an encoder")
	case config.CrossAttention:
		err = errors.New("add_cross_attention is true, want false: an encoder")
	case len(config.PrunedHeads) > 0:
		err = errors.New("pruned_heads has layers, want none: all heads of a layer have the same size here")
	case config.Quantization != nil:
		err = errors.New("quantization_config is there, but quantised models are not read: save the model in 16 or 32 bits")
	}
	return config.Config, wrap(name, err)
}

// optionalParts are the parts of a model that a file may lack, since smaller models are
// saved without: the beginnings of their parameters' names, and what they are called.
var optionalParts = [][2]string{{"bert.pooler.", thePooler}, {"cls.predictions.", theMLMHead}, {"cls.seq_relationship.", theNSPHead}}

const thePooler, theMLMHead, theNSPHead = "the pooler", "the MLM head", "the NSP head"

// partOf is the optional part that a parameter belongs to, or "".
func partOf(name string) string {
	for _, part := range optionalParts {
		if strings.HasPrefix(name, part[0]) {
			return part[1]
		}
	}
	return ""
}

// freshSeed draws the weights of the parts that a file lacks.
const freshSeed = 1

// loadParameters makes a model and reads its parameters, once it is certain that the
// files have them all. An optional part may be missing as a whole; then it is new.
func loadParameters(files *WeightFiles, config Config) (m *Model, fresh []string, err error) {
	if err := files.Complete(&config); err != nil {
		return nil, nil, err
	}
	if m, err = NewEmptyModel(config); err != nil {
		return nil, nil, wrap(files.name, err)
	}
	found, has := make([]*Tensor, len(m.List)), map[string]bool{}
	for i, p := range m.List {
		if t, ok := FindTensor(files.tensors, p.Name); ok {
			found[i], has[partOf(p.Name)] = &t, true
		}
	}
	for i, p := range m.List {
		switch t, part := found[i], partOf(p.Name); {
		case t == nil && part != "" && !has[part] && config.Architecture() == preTraining:
			if !slices.Contains(fresh, part) {
				fresh = append(fresh, part)
			}
		case t == nil:
			err = errors.New("is missing")
		case t.DType != "F32" && t.DType != "F16" && t.DType != "BF16":
			err = fmt.Errorf("is %s, want F32, F16 or BF16", t.DType)
		case !slices.Equal(t.Shape, p.Shape):
			err = fmt.Errorf("has shape %v, want %v by %s", t.Shape, p.Shape, configFile)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("%s: tensor %s %w", files.name, p.Name, err)
		}
	}
	if err := mustFit(need{"for its parameters", bytesOfF32 * float64(config.Parameters()), "take a smaller model"}); err != nil {
		return nil, nil, wrap(files.name, err)
	}
	m.Allocate()
	for i := range m.List {
		if found[i] == nil {
			m.InitializeOne(i, freshSeed, float32(config.InitializerRange))
		}
	}
	err = ReadTensors(m.List, found)
	for i, p := range m.List {
		names := NamesOf(p.Name)
		if p == m.embeddings.Word && m.mlm != nil {
			names = append(names, decoderWeight)
		}
		if err == nil && found[i] != nil {
			err = files.CheckTwice(p, names)
		}
	}
	return m, fresh, err
}
