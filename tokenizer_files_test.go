package main

import (
	"bytes"
	"path/filepath"
	"testing"
)

// No vocab.txt makes the program go wrong.
func FuzzVocabulary(f *testing.F) {
	f.Add([]byte("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n##b\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		words, err := ReadVocabulary(bytes.NewReader(data))
		if err != nil {
			return
		}
		tokenizer, err := NewTokenizer(words, true)
		if err != nil {
			return
		}
		for _, id := range tokenizer.Encode("a b ab [MASK] \u4e2d") {
			if id < 0 || int(id) >= len(words) {
				t.Errorf("id %d of %d words", id, len(words))
			}
		}
	})
}

// tokenizer_config.json says by which rules text becomes words; what it does not
// say is as in Hugging Face's library; and what is read is what was written.
func TestTokenizerConfig(t *testing.T) {
	dir, _ := savedModel(t)
	for text, want := range map[string]Rules{
		`{}`:                       {true, true, true},
		`{"do_lower_case": false}`: {false, false, true},
		`{"do_lower_case": true, "strip_accents": null, "model_max_length": 1e30, "pad_token": {"content": "[PAD]"}}`: {true, true, true},
		`{"strip_accents": false}`: {true, false, true},
		`{"do_lower_case": false, "strip_accents": true, "tokenize_chinese_chars": false}`: {false, true, false},
	} {
		changeFile(t, dir, tokenizerConfigFile, func(string) string { return text })
		m, tokenizer, _, err := LoadModel(dir)
		check(t, err)
		equal(t, tokenizer.Rules, want)
		again := filepath.Join(t.TempDir(), "again")
		check(t, SaveModel(again, m, tokenizer))
		tokenizer, err = LoadTokenizer(again)
		check(t, err)
		equal(t, tokenizer.Rules, want)
	}
}
