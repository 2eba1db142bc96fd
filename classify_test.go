package main

import (
	"strings"
	"testing"
)

// What is too long loses the end of its longer sentence, and only that.
func TestSequenceIsCut(t *testing.T) {
	_, tokenizer, _, err := LoadModel("testdata/huggingface")
	check(t, err)
	for _, c := range []struct {
		a, b string
		room int
		want string
		cut  int
	}{
		{"the bread is warm", "", 6, "[CLS] the bread is warm [SEP]", 0},
		{"the bread is warm", "", 5, "[CLS] the bread is [SEP]", 1},
		{"the bread is warm", "the sea", 7, "[CLS] the bread [SEP] the sea [SEP]", 2},
		{"the sea", "the bread is warm", 5, "[CLS] the [SEP] the [SEP]", 4},
		{"the sea", "the bread is warm", 6, "[CLS] the [SEP] the bread [SEP]", 3}, // the longer one has the odd token,
		{"the bread is warm", "the sea", 6, "[CLS] the bread [SEP] the [SEP]", 3},
		{"the sea", "bread warm", 6, "[CLS] the [SEP] bread warm [SEP]", 1}, // or B
	} {
		ids, segments, cut := tokenizer.Sequence(c.a, c.b, c.room)
		equal(t, strings.Join(tokenizer.Tokens(ids), " "), c.want)
		equal(t, len(segments), len(ids))
		equal(t, cut, c.cut)
	}
}
