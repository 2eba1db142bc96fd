package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// writeShards writes parameters to three files and their index, which change may spoil.
func writeShards(t *testing.T, dir string, list []*Param, change func(index map[string]any, files map[string]string)) {
	t.Helper()
	files, size := map[string]string{}, 0
	for k := range 3 {
		name := fmt.Sprintf("model-%05d-of-00003.safetensors", k+1)
		part := list[k*len(list)/3 : (k+1)*len(list)/3]
		check(t, writeFile(filepath.Join(dir, name), func(w io.Writer) error { return WriteSafetensors(w, part) }))
		for _, p := range part {
			files[p.Name] = name
			size += p.Size() * bytesOfF32
		}
	}
	index := map[string]any{"metadata": map[string]any{"total_size": size}, "weight_map": files}
	change(index, files)
	data, err := json.Marshal(index)
	check(t, err)
	check(t, os.WriteFile(filepath.Join(dir, shardIndexFile), data, 0o666))
	check(t, os.Remove(filepath.Join(dir, modelFile)))
}

// A model in several files is the same model; and an index that is not of these files is
// refused, with what is wrong.
func TestShards(t *testing.T) {
	for _, c := range []struct {
		want   string
		change func(index map[string]any, files map[string]string)
	}{
		{"", func(map[string]any, map[string]string) {}},
		{"total_size is 7, but the tensors have", func(index map[string]any, _ map[string]string) { index["metadata"] = map[string]any{"total_size": 7} }},
		{`weight_map has "../x.safetensors"`, func(_ map[string]any, files map[string]string) { files["cls.predictions.bias"] = "../x.safetensors" }},
		{`weight_map has ".."`, func(_ map[string]any, files map[string]string) { files["cls.predictions.bias"] = ".." }},
		{"x.safetensors: no such file", func(_ map[string]any, files map[string]string) { files["x"] = "x.safetensors" }},
		{"weight_map has tensor cls.predictions.bias in", func(_ map[string]any, files map[string]string) {
			files["cls.predictions.bias"] = "model-00001-of-00003.safetensors"
		}},
		{"weight_map has tensor x in model-00001-of-00003.safetensors, which has it not", func(_ map[string]any, files map[string]string) {
			files["x"] = "model-00001-of-00003.safetensors"
		}},
		{`weight_map has tensor cls.predictions.bias in ""`, func(_ map[string]any, files map[string]string) { delete(files, "cls.predictions.bias") }},
	} {
		dir, m := savedModel(t)
		writeShards(t, dir, m.List, c.change)
		loaded, _, _, err := LoadModel(dir)
		if c.want == "" {
			check(t, err)
			equal(t, loaded.Value, m.Value)
		} else if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), dir) || strings.Contains(err.Error(), "\n") {
			t.Errorf("the error is %v, want a line with %q", err, c.want)
		}
	}
}

// Where the parameters are in another format, it is said which, and what to do, whatever the
// folder is called.
func TestOtherFormats(t *testing.T) {
	for file, want := range map[string]string{
		"pytorch_model.bin":                "AutoConfig.from_pretrained(d).architectures[0]).from_pretrained(d).save_pretrained",
		"pytorch_model-00001-of-00002.bin": "is a pickle",
		"tf_model.h5":                      "from_tf=True",
		"flax_model.msgpack":               "from_flax=True",
		"adapter_model.safetensors":        "is an adapter (peft), not a model",
		"model.fp16.safetensors":           "is a variant of a model; call it model.safetensors",
		"README.md":                        "model.safetensors: no such file",
	} {
		saved, _ := savedModel(t)
		dir := filepath.Join(t.TempDir(), "a[1]")
		check(t, os.Rename(saved, dir))
		check(t, os.Rename(filepath.Join(dir, modelFile), filepath.Join(dir, file)))
		if _, _, _, err := LoadModel(dir); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("with %s the error is %v, want %q", file, err, want)
		}
	}
}

// What would be a silently wrong model is refused: more layers than the configuration has,
// a decoder that is not the word embeddings, and parameters that are no numbers. That
// decoder and embeddings are said not to be tied does not matter where they are the same.
func TestWrongWeights(t *testing.T) {
	dir, _ := savedModel(t)
	changeFile(t, dir, configFile, replace(`"num_hidden_layers": 2`, `"num_hidden_layers": 1`))
	_, _, _, err := LoadModel(dir)
	if err == nil || !strings.Contains(err.Error(), "encoder.layer.1.") || !strings.Contains(err.Error(), "num_hidden_layers is 1") {
		t.Errorf("with a layer less the error is %v", err)
	}

	dir, m := savedModel(t)
	changeFile(t, dir, configFile, replace("{", `{"tie_word_embeddings": false,`))
	decoder := &Param{Name: "cls.predictions.decoder.weight", Shape: m.embeddings.Word.Shape, Value: m.embeddings.Word.Value}
	save := func() {
		check(t, writeFile(filepath.Join(dir, modelFile), func(w io.Writer) error { return WriteSafetensors(w, append(m.List[:len(m.List):len(m.List)], decoder)) }))
	}
	save()
	_, _, _, err = LoadModel(dir)
	check(t, err)
	list := m.List
	for _, twice := range []struct{ name, as, want string }{
		{"bert.embeddings.word_embeddings.weight", decoderWeight, "has other values than bert.embeddings.word_embeddings.weight, and here"},
		{"bert.embeddings.word_embeddings.weight", "embeddings.word_embeddings.weight", "has other values than bert.embeddings.word_embeddings.weight, and here"},
		{"cls.predictions.bias", "cls.predictions.decoder.bias", "has other values than cls.predictions.bias, and here"},
		{"bert.embeddings.LayerNorm.weight", "bert.embeddings.LayerNorm.gamma", "has other values than bert.embeddings.LayerNorm.weight, and here"},
	} {
		i := slices.IndexFunc(list, func(p *Param) bool { return p.Name == twice.name })
		other := &Param{Name: twice.as, Shape: list[i].Shape, Value: slices.Clone(list[i].Value)}
		if decoder = other; twice.as != decoderWeight { // without which the head would have none
			changeFile(t, dir, configFile, func(s string) string { return strings.Replace(s, `embeddings": false`, `embeddings": true`, 1) })
		}
		save()
		_, _, _, err = LoadModel(dir)
		check(t, err)
		other.Value[len(other.Value)-1]++
		save()
		if _, _, _, err = LoadModel(dir); err == nil || !strings.Contains(err.Error(), "tensor "+twice.as+" "+twice.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("with another %s the error is %v", twice.as, err)
		}
	}
	changeFile(t, dir, configFile, replace(`embeddings": true`, `embeddings": false`))
	if _, _, _, err = LoadModel(dir); err == nil || !strings.Contains(err.Error(), "there is no tensor cls.predictions.decoder.weight, but tie_word_embeddings is false") {
		t.Errorf("without a decoder of its own the error is %v", err)
	}

	for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(-1))} {
		dir, m := savedModel(t)
		m.pooler.dense.bias.Value[7] = bad
		check(t, writeFile(filepath.Join(dir, modelFile), func(w io.Writer) error { return WriteSafetensors(w, m.List) }))
		if _, _, _, err = LoadModel(dir); err == nil || !strings.Contains(err.Error(), "tensor bert.pooler.dense.bias: number 7 is") {
			t.Errorf("with %v the error is %v", bad, err)
		}
	}
}

// What a classifier's labels are is told by id2label, be they words or numbers, by
// num_labels, or by the shape of its matrix; and what the model is for, by its tensors where
// config.json does not say it.
func TestLabelsOfAModel(t *testing.T) {
	m, err := NewModel(asClassifier(smallModel(t).Config, "neg", "neu", "pos"), 1)
	check(t, err)
	_, tokenizer, _, err := LoadModel(savedDir(t))
	check(t, err)
	unnamed := []string{"LABEL_0", "LABEL_1", "LABEL_2"}
	for _, c := range []struct {
		fields map[string]any // of config.json; nil is null, absent is left out
		want   []string
	}{
		{map[string]any{"num_labels": 3, "id2label": absent, "label2id": absent}, unnamed},
		{map[string]any{"num_labels": 3, "id2label": nil, "label2id": nil}, unnamed},
		{map[string]any{"id2label": map[string]any{"0": 0, "1": 1, "2": true}, "label2id": map[string]any{"0": "0"}}, []string{"0", "1", "true"}},
		{map[string]any{"architectures": absent}, []string{"neg", "neu", "pos"}},
		{map[string]any{"architectures": absent, "id2label": absent, "label2id": absent}, unnamed},
	} {
		dir := filepath.Join(t.TempDir(), "model")
		check(t, SaveModel(dir, m, tokenizer))
		changeFile(t, dir, configFile, func(text string) string {
			fields := map[string]any{}
			check(t, json.Unmarshal([]byte(text), &fields))
			for name, value := range c.fields {
				if fields[name] = value; value == absent {
					delete(fields, name)
				}
			}
			data, err := json.Marshal(fields)
			check(t, err)
			return string(data)
		})
		loaded, _, _, err := LoadModel(dir)
		check(t, err)
		equal(t, loaded.Config.Labels(), c.want)
		equal(t, loaded.Value, m.Value)
		again := filepath.Join(t.TempDir(), "again")
		check(t, SaveModel(again, loaded, tokenizer))
		loaded, _, _, err = LoadModel(again)
		check(t, err)
		equal(t, loaded.Config.Labels(), c.want)
	}
}

// absent is a field that is not there.
const absent = "\x00"

// savedDir is the folder of a saved small model.
func savedDir(t *testing.T) string {
	dir, _ := savedModel(t)
	return dir
}
