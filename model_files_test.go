package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// savedModel saves a small model with its vocabulary and returns the folder.
func savedModel(t testing.TB) (dir string, m *Model) {
	t.Helper()
	m = smallModel(t)
	words := specialTokens[:5:5]
	for len(words) < m.Config.VocabSize {
		words = append(words, fmt.Sprint("word", len(words)))
	}
	tokenizer, err := NewTokenizer(words, true)
	check(t, err)
	dir = filepath.Join(t.TempDir(), "model")
	check(t, SaveModel(dir, m, tokenizer))
	return dir, m
}

// changeFile replaces what stands in a file of a model folder.
func changeFile(t testing.TB, dir, name string, change func(string) string) {
	t.Helper()
	name = filepath.Join(dir, name)
	data, err := os.ReadFile(name)
	check(t, err)
	check(t, os.WriteFile(name, []byte(change(string(data))), 0o666))
}

func replace(from, to string) func(string) string {
	return func(s string) string {
		if !strings.Contains(s, from) {
			panic(from + " does not stand there")
		}
		return strings.Replace(s, from, to, 1)
	}
}

// A model folder that is not sound is refused, with what is wrong in which file.
func TestBadModelsAreRefused(t *testing.T) {
	for _, c := range []struct {
		file   string
		change func(string) string
		want   string
	}{
		{configFile, replace(`"hidden_size": 20`, `"hidden_size": 22`), "hidden_size 22 is not a multiple of num_attention_heads 4"},
		{configFile, replace(`"hidden_size": 20`, `"hidden_size": 24`), "tensor bert.embeddings.word_embeddings.weight has shape [37 20], want [37 24]"},
		{configFile, replace(`"hidden_size": 20`, `"hidden_size": 1000000000000`), "hidden_size is 1000000000000, want 1 to 65536"},
		{configFile, replace(`"num_attention_heads": 4`, `"num_attention_heads": 0`), "num_attention_heads is 0, want 1 to"},
		{configFile, replace(`"num_hidden_layers": 2`, `"num_hidden_layers": 3`), "tensor bert.encoder.layer.2.attention.self.query.weight is missing"},
		{configFile, replace(`"vocab_size": 37`, `"vocab_size": 36`), "has 37 words, config.json has vocab_size 36"},
		{configFile, replace(`"gelu"`, `"mish"`), `hidden_act is "mish", want one of ["gelu"`},
		{configFile, replace(`"bert"`, `"gpt2"`), `model_type is "gpt2", want "bert"`},
		{configFile, replace(`1e-12`, `-1`), "layer_norm_eps is -1"},
		{configFile, replace(`"hidden_act"`, `"HIDDEN_ACT"`), `there is a "HIDDEN_ACT", want "hidden_act" or another name`},
		{configFile, replace(`{`, `{"Is_Decoder": false,`), `there is a "Is_Decoder", want "is_decoder"`},
		{configFile, func(string) string { return "{" }, "unexpected end of JSON"},
		{vocabFile, replace("[MASK]", "mask"), `have different vocabularies: "[MASK]" is 4 in the second`},
		{vocabFile, replace("word7\n", "word6\n"), "have different vocabularies"},
		{tokenizerFile, replace("BertNormalizer", "NFC"), `the normalizer is "NFC", want "BertNormalizer"`},
		{tokenizerConfigFile, replace("BertTokenizer", "BertJapaneseTokenizer"), `tokenizer_class is "BertJapaneseTokenizer"`},
		{tokenizerConfigFile, func(string) string { return "[]" }, "cannot unmarshal"},
		{tokenizerConfigFile, replace(`"do_lower_case"`, `"Do_Lower_Case"`), `there is a "Do_Lower_Case", want "do_lower_case"`},
		{tokenizerFile, replace(`"lowercase"`, `"Lowercase"`), `normalizer: there is a "Lowercase", want "lowercase"`},
		{modelFile, func(string) string { return "" }, "the file has 0 bytes"},
		{modelFile, func(s string) string { return s[:100] }, "the file was cut short"},
		{modelFile, func(s string) string { return s[:len(s)-1] }, "it was cut short"},
		{modelFile, func(s string) string { return "\xff\xff\xff\xff\xff\xff\xff\x7f" + s[8:] }, "the header is said to have 9223372036854775807 bytes"},
		{modelFile, func(s string) string { return s[:8] + "?" + s[9:] }, "header: it does not begin with {"},
		{modelFile, replace(`"F32"`, `"F64"`), "want 5920 bytes for shape [37 20] of F64"},
		{modelFile, replace(`[0,2960]`, `[4,2960]`), "want 2960 bytes for shape [37 20]"},
		{modelFile, replace(`[37,20]`, `[-7,20]`), "found -7, want a whole number"},
		{modelFile, replace(`cls.predictions.bias`, `cls.predictions.blas`), "tensor cls.predictions.bias is missing"},
	} {
		dir, _ := savedModel(t)
		changeFile(t, dir, c.file, c.change)
		_, _, _, err := LoadModel(dir)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), dir) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: the error is %v, want a line with %q", c.file, err, c.want)
		}
	}
	for _, file := range []string{configFile, modelFile} {
		dir, _ := savedModel(t)
		check(t, os.Remove(filepath.Join(dir, file)))
		if _, _, _, err := LoadModel(dir); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("without %s the error is %v", file, err)
		}
	}
}

// A file with the names of older models, or of an encoder saved alone, is read,
// tied tensors in it and all.
func TestOldNamesAreRead(t *testing.T) {
	dir, m := savedModel(t)
	var file bytes.Buffer
	var list []*Param
	for _, p := range m.List {
		old := *p
		old.Name = strings.TrimPrefix(old.Name, "bert.")
		if strings.Contains(old.Name, "LayerNorm") {
			old.Name = strings.NewReplacer("weight", "gamma", "bias", "beta").Replace(old.Name)
		}
		list = append(list, &old)
	}
	tied := *m.embeddings.Word
	tied.Name = "cls.predictions.decoder.weight"
	check(t, WriteSafetensors(&file, append(list, &tied)))
	check(t, os.WriteFile(filepath.Join(dir, modelFile), file.Bytes(), 0o666))
	loaded, _, _, err := LoadModel(dir)
	check(t, err)
	equal(t, loaded.Value, m.Value)
}
