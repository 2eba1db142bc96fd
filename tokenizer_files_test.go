package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// No vocab.txt makes the program go wrong.
func FuzzVocabulary(f *testing.F) {
	f.Add([]byte("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n##b\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		words, err := ReadVocabulary(string(data))
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

// tokenizer_config.json says by which rules text becomes words, where it stands alone or
// beside the tokenizer.json of a class that has its rules there; what it does not say is as
// in Hugging Face's library; and what is read is what was written.
func TestTokenizerConfig(t *testing.T) {
	for text, want := range map[string]Rules{
		`{}`:                       {true, true, true},
		`{"do_lower_case": false}`: {false, false, true},
		`{"do_lower_case": true, "strip_accents": null, "model_max_length": 1e30, "pad_token": {"content": "[PAD]"}}`: {true, true, true},
		`{"strip_accents": false}`: {true, false, true},
		`{"do_lower_case": false, "strip_accents": true, "tokenize_chinese_chars": false}`:       {false, true, false},
		`{"tokenizer_class": "ElectraTokenizerFast", "do_lower_case": false, "never_split": []}`: {false, false, true},
	} {
		dir, _ := savedModel(t)
		changeFile(t, dir, tokenizerConfigFile, func(string) string { return text })
		if !strings.Contains(text, "tokenizer_class") {
			check(t, os.Remove(filepath.Join(dir, tokenizerFile)))
		}
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

// tokenizerDir is a folder with a small tokenizer's files, of which some are others or, if
// they are "", not there.
func tokenizerDir(t *testing.T, files map[string]string) string {
	t.Helper()
	words := append(specialTokens[:5:5], strings.Fields("Hello hello caf\u00e9 cafe . fish ##s unused1 x")...)
	tokenizer, err := NewTokenizer(words, true)
	check(t, err)
	dir := t.TempDir()
	check(t, saveFiles(dir, dir, TokenizerFiles(tokenizer, 64)))
	for name, text := range files {
		if name = filepath.Join(dir, name); text == "" {
			check(t, os.Remove(name))
		} else {
			old, _ := os.ReadFile(name)
			check(t, os.WriteFile(name, []byte(strings.ReplaceAll(text, "OLD", string(old))), 0o666))
		}
	}
	return dir
}

// changed is what stands in tokenizer.json, with other parts at the top.
func changed(t *testing.T, change func(file map[string]any)) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(tokenizerDir(t, nil), tokenizerFile))
	check(t, err)
	file := map[string]any{}
	check(t, json.Unmarshal(data, &file))
	change(file)
	data, err = json.Marshal(file)
	check(t, err)
	return string(data)
}

// The rules and the added tokens of a tokenizer hold wherever Hugging Face has them, with
// the ids that it gives, and survive saving.
func TestAddedTokens(t *testing.T) {
	cased := changed(t, func(file map[string]any) {
		file["normalizer"] = map[string]any{"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": false, "lowercase": false}
		file["model"].(map[string]any)["max_input_chars_per_word"] = 6
	})
	added := func(tokens ...any) string {
		return changed(t, func(file map[string]any) { file["added_tokens"] = append(file["added_tokens"].([]any), tokens...) })
	}
	token := func(id int, content string, normalized bool) map[string]any {
		return map[string]any{"id": id, "content": content, "normalized": normalized, "special": !normalized, "lstrip": false, "rstrip": false, "single_word": false}
	}
	for _, c := range []struct {
		files      map[string]string
		text, want string
	}{
		{map[string]string{tokenizerFile: cased, vocabFile: "", tokenizerConfigFile: `{"tokenizer_class": "PreTrainedTokenizerFast"}`}, "Hello caf\u00e9 fishsss", "5 7 1"},
		{map[string]string{tokenizerFile: cased, vocabFile: "", tokenizerConfigFile: ""}, "Hello fishs fishsss", "5 10 11 1"},
		{map[string]string{tokenizerFile: cased, tokenizerConfigFile: `{"tokenizer_class": "BertTokenizer"}`}, "Hello", "6"},
		{map[string]string{tokenizerFile: added(token(14, "[DRUG]", false))}, "a [DRUG]fish", "1 14 10"},
		{map[string]string{tokenizerConfigFile: `{"added_tokens_decoder": {"14": {"content": "[DRUG]"}}}`, tokenizerFile: ""}, "[DRUG][drug]", "14 14"},
		{map[string]string{"added_tokens.json": `{"CoVid": 14}`, tokenizerFile: ""}, "xcovidfish COVID CoVid", "13 14 10 14 14"},
		{map[string]string{tokenizerFile: added(token(14, "New York", true))}, "fish new york. newyork", "10 14 9 1"},
		{map[string]string{tokenizerConfigFile: `{"additional_special_tokens": ["unused1", {"content": "[NEW]"}]}`, tokenizerFile: ""}, "fishunused1 [NEW]", "10 12 14"},
		{map[string]string{tokenizerConfigFile: `{"extra_special_tokens": {"a": "[NEW]"}}`, tokenizerFile: ""}, "[NEW]", "14"},
		{map[string]string{tokenizerConfigFile: `{"added_tokens_decoder": {"14": {"content": "[DRUG]", "special": true}}}`, tokenizerFile: ""}, "[DRUG][drug]", "14 1 1 1"},
		{map[string]string{tokenizerConfigFile: `{"added_tokens_decoder": {"14": {"content": "##y", "normalized": false}}}`, tokenizerFile: ""}, "xy ##y", "1 14"}, // no piece of a word
		{map[string]string{tokenizerConfigFile: `{"added_tokens_decoder": {"14": {"content": "\n", "normalized": false}}}`, tokenizerFile: ""}, "x\nfish fish", "13 14 10 10"},
		{map[string]string{"added_tokens.json": `{"\n": 14, "\u4e2dx": 15}`, tokenizerFile: ""}, "x fish\u4e2dx x", "13 14 10 15 14 13"},
		{map[string]string{tokenizerConfigFile: `{"added_tokens_decoder": {"14": {"content": "X"}, "15": {"content": "x", "special": true}}}`, tokenizerFile: ""}, "xfishX", "15 10 14"},
		{map[string]string{"special_tokens_map.json": `{"mask_token": {"content": "[MASK]", "normalized": true}, "additional_special_tokens": ["[NEW]"]}`, tokenizerFile: "", tokenizerConfigFile: ""}, "[mask] [MASK][NEW]", "4 4 14"},
		{map[string]string{tokenizerConfigFile: `{"bos_token": "<s>", "eos_token": "[SEP]", "additional_special_tokens": ["[NEW]"]}`, tokenizerFile: ""}, "<s> fish [NEW]", "14 10 15"},
		{map[string]string{"added_tokens.json": `{"[MASK]": 4, "[NEW]": 14}`, "special_tokens_map.json": `{"mask_token": "[MASK]"}`, tokenizerConfigFile: `{"additional_special_tokens": ["[NEW]"]}`, tokenizerFile: ""}, "[MASK][NEW] [mask][new]", "4 14 1 1 1 1 1 1"},
		{map[string]string{"special_tokens_map.json": `{"mask_token": {"content": "[MASK]", "lstrip": true}, "additional_special_tokens": [{"content": "[NEW]", "lstrip": true, "rstrip": true}]}`, tokenizerFile: ""}, "fish [MASK] [NEW] fish[NEW]", "10 4 14 10 14"},
		{map[string]string{tokenizerConfigFile: `{"never_split": ["[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"]}`}, "fish [MASK]", "10 4"},
		{map[string]string{tokenizerFile: changed(t, func(f map[string]any) {
			tokens := f["post_processor"].(map[string]any)["special_tokens"].(map[string]any)
			tokens["[MASK]"] = map[string]any{"id": "[MASK]", "ids": []any{4}, "tokens": []any{"[MASK]"}}
		})}, "fish [MASK]", "10 4"},
		{map[string]string{vocabFile: "\ufeffOLD", tokenizerFile: ""}, "[PAD] fish", "0 10"},
		{map[string]string{vocabFile: "OLDfish\n", tokenizerFile: ""}, "fish", "14"}, // the later id counts
	} {
		tokenizer, err := LoadTokenizer(tokenizerDir(t, c.files))
		check(t, err)
		again := t.TempDir()
		check(t, saveFiles(again, again, TokenizerFiles(tokenizer, 64)))
		saved, err := LoadTokenizer(again)
		check(t, err)
		for _, tokenizer := range []*Tokenizer{tokenizer, saved} {
			ids, spans := tokenizer.EncodeSpans(c.text)
			equal(t, strings.Trim(fmt.Sprint(ids), "[]"), c.want, fmt.Sprint(c.files, c.text))
			equal(t, tokenizer.Encode(c.text), ids)
			for i, s := range spans {
				if s.Begin >= s.End || s.End > len(c.text) {
					t.Errorf("%q: token %d is of %v", c.text, i, s)
				}
			}
		}
	}
}

// What decides about ids and is not known here is refused by name.
func TestOtherTokenizersAreRefused(t *testing.T) {
	for _, c := range []struct {
		files map[string]string
		want  string
	}{
		{map[string]string{tokenizerConfigFile: `{"tokenizer_class": "BertJapaneseTokenizer"}`}, `tokenizer_class is "BertJapaneseTokenizer"`},
		{map[string]string{tokenizerConfigFile: `{"do_basic_tokenize": false}`}, "do_basic_tokenize is false"},
		{map[string]string{tokenizerConfigFile: `{"never_split": ["[UNK]", "x"]}`}, "never_split has other tokens than the special ones"},
		{map[string]string{tokenizerConfigFile: `{"unk_token": "<unk>"}`}, `the token [UNK] is called "<unk>" there`},
		{map[string]string{tokenizerConfigFile: `{"mask_token": {"content": "<mask>"}}`}, `the token [MASK] is called "<mask>"`},
		{map[string]string{tokenizerConfigFile: `{"added_tokens_decoder": {"40": {"content": "x"}}}`}, "has id 40, but there are 14 tokens before it"},
		{map[string]string{"added_tokens.json": `{"x": -1}`}, `the added token "x" has id -1`},
		{map[string]string{tokenizerFile: changed(t, func(f map[string]any) { f["added_tokens"].([]any)[0].(map[string]any)["id"] = -1 })}, `the added token "[PAD]" has id -1`},
		{map[string]string{tokenizerConfigFile: `{"added_tokens_decoder": {"10": {"content": "y"}}}`}, `has id 10, which is "fish" in the vocabulary`},
		{map[string]string{tokenizerConfigFile: `{"added_tokens_decoder": {"14": {"content": "y", "single_word": true}}}`}, "has single_word"},
		{map[string]string{tokenizerConfigFile: `{"split_special_tokens": true}`}, "split_special_tokens is true"},
		{map[string]string{vocabFile: "OLDcaf\xe9\n", tokenizerFile: ""}, `vocab.txt: line 15, "caf\xe9\n", is not UTF-8`},
		{map[string]string{vocabFile: "OLDmore\n"}, `have different vocabularies: "more" is 14 in the first`},
		{map[string]string{tokenizerFile: changed(t, func(f map[string]any) { f["model"].(map[string]any)["max_input_chars_per_word"] = 0 })}, "max_input_chars_per_word is 0"},
		{map[string]string{tokenizerFile: changed(t, func(f map[string]any) { f["post_processor"] = nil }), tokenizerConfigFile: `{"tokenizer_class": "PreTrainedTokenizerFast"}`}, "the post_processor is null, want one"},
		{map[string]string{tokenizerFile: changed(t, func(f map[string]any) {
			f["post_processor"] = map[string]any{"type": "BertProcessing", "cls": []any{"[CLS]", 2}, "sep": []any{"x", 13}}
		})}, `the post_processor's sep is ["x",13], want ["[SEP]",3]`},
		{map[string]string{tokenizerFile: changed(t, func(f map[string]any) { f["normalizer"] = map[string]any{"type": "Sequence"} })}, `the normalizer is "Sequence"`},
		{map[string]string{tokenizerFile: changed(t, func(f map[string]any) { f["normalizer"] = nil })}, `the normalizer is ""`},
		{map[string]string{tokenizerFile: changed(t, func(f map[string]any) { f["pre_tokenizer"] = map[string]any{"type": "Whitespace"} })}, `the pre_tokenizer is "Whitespace"`},
		{map[string]string{tokenizerFile: changed(t, func(f map[string]any) { f["model"].(map[string]any)["unk_token"] = "<unk>" })}, `unk_token is "<unk>"`},
		{map[string]string{tokenizerFile: changed(t, func(f map[string]any) { f["post_processor"] = map[string]any{"type": "RobertaProcessing"} })}, `the post_processor is "RobertaProcessing"`},
		{map[string]string{vocabFile: "OLDmore\n", tokenizerFile: changed(t, func(f map[string]any) { f["model"].(map[string]any)["vocab"].(map[string]any)["more"] = 3 })}, "have different vocabularies"},
	} {
		if _, err := LoadTokenizer(tokenizerDir(t, c.files)); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v: the error is %v, want a line with %q", c.files, err, c.want)
		}
	}
}

// A vocabulary for text that keeps its case, used for one that does not, is noticed by its words
// with capitals, of which special tokens and [unused0] are none.
func TestCasedVocabulary(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ file, words, flags, want string }{
		{"cased.txt", "[unused0] a ##b Nora ##A", "", "cased.txt has 2 words with capitals, which text in lower case never gives: -cased?\n"},
		{"uncased.txt", "[unused0] a ##b nora <S> [NEW]", "", ""},
		{"cased.txt", "[unused0] a ##b Nora ##A", "-cased", ""},
		{"uncased.txt", "[unused0] a ##b nora", "", ""},
	} {
		name := filepath.Join(dir, c.file)
		words := append(specialTokens[:5:5], strings.Fields(c.words)...)
		check(t, writeFile(name, func(w io.Writer) error { return WriteVocabulary(w, words) }))
		corpus := filepath.Join(dir, "corpus.txt")
		check(t, os.WriteFile(corpus, corpusText[:8000], 0o666))
		tokenize := append([]string{"tokenize", "-vocab", name}, strings.Fields(c.flags)...)
		pretrain := append([]string{"pretrain", "-steps", "1", "-out", filepath.Join(t.TempDir(), "out"), "-corpus", corpus, "-vocab", name}, strings.Fields(c.flags)...)
		for _, args := range [][]string{tokenize, append(pretrain, "-hidden", "4", "-heads", "1", "-layers", "1", "-intermediate", "4", "-batch", "2")} {
			status, _, stderr := runHere("a", args...)
			equal(t, status, exitDone, stderr)
			equal(t, strings.Contains(stderr, "capitals"), c.want != "", stderr)
			equal(t, strings.Contains(stderr, c.want), true, stderr)
		}
	}
}
