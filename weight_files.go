package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Step 7 of the lesson, the files with a model's parameters: one, or several of which an
// index says which has what; and what to do where the parameters are in another format.

const (
	configFile     = "config.json"
	modelFile      = "model.safetensors"
	shardIndexFile = "model.safetensors.index.json"
)

// WeightFiles are the tensors of a model folder, and the files that they are in.
type WeightFiles struct {
	name    string // of the file, or of the index
	tensors map[string]Tensor
	open    []*os.File
}

func (f *WeightFiles) Close() {
	for _, file := range f.open {
		file.Close()
	}
}

// OpenWeights opens the parameters of a model folder.
func OpenWeights(dir string) (*WeightFiles, error) {
	f := &WeightFiles{name: filepath.Join(dir, modelFile)}
	if exists(f.name) {
		file, tensors, err := OpenSafetensors(f.name)
		f.tensors, f.open = tensors, []*os.File{file}
		return f, err
	}
	if index := filepath.Join(dir, shardIndexFile); exists(index) {
		f.name = index
		if err := f.openShards(dir); err != nil {
			f.Close()
			return nil, err
		}
		return f, nil
	}
	return nil, noWeights(dir)
}

// openShards opens the files that an index names. Each tensor has to be where the index
// says, once, and there may be no other.
func (f *WeightFiles) openShards(dir string) error {
	var index struct {
		Metadata struct {
			Size json.Number `json:"total_size"`
		} `json:"metadata"`
		Files map[string]string `json:"weight_map"`
	}
	if err := readJSON(f.name, &index); err != nil {
		return err
	}
	f.tensors = map[string]Tensor{}
	size := int64(0)
	for tensor, shard := range index.Files {
		if shard != filepath.Base(shard) || strings.ContainsAny(shard, `/\`) || shard == ".." {
			return fmt.Errorf("%s: weight_map has %q for %s, want the name of a file in the same folder", f.name, shard, tensor)
		}
	}
	for _, shard := range slices.Compact(slices.Sorted(maps.Values(index.Files))) {
		file, tensors, err := OpenSafetensors(filepath.Join(dir, shard))
		if err != nil {
			return err
		}
		f.open = append(f.open, file)
		for _, name := range slices.Sorted(maps.Keys(tensors)) {
			t := tensors[name]
			if index.Files[name] != shard {
				return fmt.Errorf("%s: weight_map has tensor %s in %q, but %s has it", f.name, name, index.Files[name], shard)
			}
			f.tensors[name] = t
			size += t.Offsets[1] - t.Offsets[0]
		}
	}
	for _, name := range slices.Sorted(maps.Keys(index.Files)) {
		if _, ok := f.tensors[name]; !ok {
			return fmt.Errorf("%s: weight_map has tensor %s in %s, which has it not", f.name, name, index.Files[name])
		}
	}
	if want, err := index.Metadata.Size.Int64(); err == nil && want != size {
		return fmt.Errorf("%s: total_size is %d, but the tensors have %d bytes", f.name, want, size)
	}
	return nil
}

// decoderWeight is the MLM head's matrix. Here it is the word embeddings.
const decoderWeight = "cls.predictions.decoder.weight"

var layerNumber = regexp.MustCompile(`(?:^|\.)encoder\.layer\.(\d+)\.`)

// Complete sees to it that the configuration is of this model: where it does not say what
// the model is for, the tensors do, and no layer may be left out.
func (f *WeightFiles) Complete(c *Config) error {
	for name := range f.tensors {
		if number := layerNumber.FindStringSubmatch(name); number != nil {
			if n, err := strconv.Atoi(number[1]); err != nil || n >= c.NumHiddenLayers {
				return fmt.Errorf("%s: there is a tensor %s, but num_hidden_layers is %d by %s", f.name, name, c.NumHiddenLayers, configFile)
			}
		}
	}
	if len(c.Architectures) == 0 {
		if t, ok := f.tensors["classifier.weight"]; ok && len(t.Shape) == 2 {
			c.Architectures = []string{tagging} // which has no pooler
			if _, ok := FindTensor(f.tensors, "bert.pooler.dense.weight"); ok {
				c.Architectures = []string{classification}
			}
			if len(c.ID2Label) == 0 && c.NumLabels == 0 {
				c.NumLabels = t.Shape[0]
			}
		} else if _, ok := f.tensors["qa_outputs.weight"]; ok {
			c.Architectures = []string{answering}
		}
	}
	if c.Architecture() == preTraining { // also of what was saved as something smaller
		c.Architectures = DefaultConfig().Architectures
		_, head := f.tensors["cls.predictions.transform.dense.weight"]
		if _, ok := f.tensors[decoderWeight]; c.Tied != nil && !*c.Tied && head && !ok {
			return fmt.Errorf("%s: there is no tensor %s, but tie_word_embeddings is false by %s, want the tensor, or true if it was the word embeddings", f.name, decoderWeight, configFile)
		}
	}
	c.Tied = nil // they are, from here on
	return nil
}

// NamesOf are the names that a parameter may have: Hugging Face's, and those of other files:
// gamma and beta in a LayerNorm, no "bert." before them, the bias of the MLM head as its
// decoder's.
func NamesOf(name string) (names []string) {
	old := name
	if strings.Contains(name, "LayerNorm") {
		old = strings.NewReplacer(".weight", ".gamma", ".bias", ".beta").Replace(name)
	}
	if name == "cls.predictions.bias" {
		old = "cls.predictions.decoder.bias"
	}
	for _, n := range []string{name, old} {
		names = append(names, n, strings.TrimPrefix(n, "bert."))
	}
	return names
}

// FindTensor finds a parameter under the first of its names that is there.
func FindTensor(tensors map[string]Tensor, name string) (Tensor, bool) {
	for _, n := range NamesOf(name) {
		if t, ok := tensors[n]; ok {
			return t, true
		}
	}
	return Tensor{}, false
}

// CheckTwice returns an error if a parameter that has been read is there under another name
// too, with other values: nothing tells which of them the model is to have.
func (f *WeightFiles) CheckTwice(p *Param, names []string) error {
	first := slices.IndexFunc(names, func(name string) bool { _, ok := f.tensors[name]; return ok })
	for _, name := range names[first+1:] {
		t, ok := f.tensors[name]
		if !ok || name == names[first] {
			continue
		}
		values := make([]float32, p.Size())
		if slices.Equal(t.Shape, p.Shape) {
			if err := t.Read(t.file, values); err != nil {
				return fmt.Errorf("%s: tensor %s: %w", f.name, name, err)
			}
		}
		if !slices.Equal(t.Shape, p.Shape) || !slices.Equal(values, p.Value) {
			return fmt.Errorf("%s: tensor %s has other values than %s, and here they are the same parameter: want one of them", f.name, name, names[first])
		}
	}
	return nil
}

// firstOf is the first file of a folder whose name has a pattern, or "".
func firstOf(dir, pattern string) string {
	names, _ := fs.Glob(os.DirFS(dir), pattern)
	if len(names) == 0 {
		return ""
	}
	return filepath.Join(dir, names[0])
}

// IsAdapter returns an error if a folder has an adapter instead of a model.
func IsAdapter(dir string) error {
	if name := firstOf(dir, "adapter_model.*"); name != "" {
		return fmt.Errorf("%s is an adapter (peft), not a model: merge it into its model with merge_and_unload() and save that", name)
	}
	return nil
}

// noWeights says what there is in a model folder instead of its parameters, and what to do.
func noWeights(dir string) error {
	const convert = `python3 -c 'import sys, transformers as t; d = sys.argv[1]; ` +
		`getattr(t, t.AutoConfig.from_pretrained(d).architectures[0]).from_pretrained(d%s).save_pretrained(d, safe_serialization=True)' %q`
	for _, other := range []struct{ files, are, option string }{
		{"pytorch_model*.bin", "a pickle, which can hold any program, and is not read; to convert it", ""},
		{"tf_model.h5", "TensorFlow's; to convert it, with a version of transformers before 5", ", from_tf=True"},
		{"flax_model.msgpack", "Flax's; to convert it, with a version of transformers before 5", ", from_flax=True"},
	} {
		if name := firstOf(dir, other.files); name != "" {
			return fmt.Errorf("%s is %s: "+convert, name, other.are, other.option, dir)
		}
	}
	if err := IsAdapter(dir); err != nil {
		return err
	}
	if name := firstOf(dir, "model.*.safetensors"); name != "" {
		return fmt.Errorf("%s is a variant of a model; call it %s to use it", name, modelFile)
	}
	_, err := os.Stat(filepath.Join(dir, modelFile))
	return err
}
