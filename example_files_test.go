package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

// Examples written are read back as they were; a file that cannot be right is
// refused, with the example and what is wrong.
func TestReadExamples(t *testing.T) {
	corpus, tokenizer := smallCorpus(t)
	s := NewStream(corpus, tokenizer, corpus.AllDocuments(), 20, 1)
	examples := slices.Collect(s.Epoch(1))
	var file bytes.Buffer
	check(t, WriteExamples(&file, slices.Values(examples), tokenizer, true))
	got, err := ReadExamples(&file, tokenizer.Vocabulary)
	check(t, err)
	equal(t, got, examples)
	check(t, WriteExamples(&file, slices.Values(examples), tokenizer, false))
	got, err = ReadExamples(&file, tokenizer.Vocabulary)
	check(t, err)
	for i := range got {
		equal(t, got[i].Strings, tokenizer.Tokens(got[i].Tokens))
		got[i].Strings = nil
	}
	equal(t, got, examples)

	good := `{"input_ids":[2,5,3,4,3],"token_type_ids":[0,0,0,1,1],"masked_lm_positions":[3],"masked_lm_ids":[6],"next_sentence_label":1}`
	idle := strings.Replace(good, `:1}`, `:1,"id":"null","word_ids":[null,0,1,0,null],"length":5,"offset_mapping":[[0,0],[0,1],[2,3],[0,1],[0,0]]}`, 1)
	_, err = ReadExamples(strings.NewReader(idle), tokenizer.Vocabulary)
	check(t, err)
	for change, want := range map[[2]string]string{
		{`[2,5,`, `[2,10,`}:                                               "input_ids has 10, want 0 to 9",
		{`[2,5,`, `[2,-1,`}:                                               "input_ids has -1",
		{`[0,0,0,1,1]`, `[0,0,0,1]`}:                                      "token_type_ids has 4 numbers, want 5",
		{`[0,0,0,1,1]`, `[0,0,0,1,2]`}:                                    "token_type_ids has 2, want 0 or 1",
		{`:[3]`, `:[5]`}:                                                  "masked_lm_positions has 5",
		{`:[3]`, `:[3,3]`}:                                                "masked_lm_positions has 3, want rising",
		{`:[3]`, `:[]`}:                                                   "masked_lm_positions has 0 numbers and masked_lm_ids 1",
		{`:[6]`, `:[99]`}:                                                 "masked_lm_ids has 99",
		{`:1}`, `:null}`}:                                                 "next_sentence_label has null",
		{`,"next_sentence_label":1`, ``}:                                  "next_sentence_label is missing, want 0",
		{`next_sentence_label`, `next_sentence_labels`}:                   `the field "next_sentence_labels" is not known, want tokens, input_ids,`,
		{`:1}`, `:1,"masked_lm_weights":[0.0]}`}:                          `the field "masked_lm_weights" is not known`,
		{`:1}`, `:1,"position_ids":[0,2,4,6,8]}`}:                         `the field "position_ids" is not known`,
		{`:1}`, `:1,"masked_lm_ids":[7]}`}:                                "masked_lm_ids stands there twice",
		{`:1}`, `:1,"input_mask":[1,1,1,1,0]}`}:                           `the field "input_mask" is not known`,
		{`:1}`, `:1,"attention_mask":[1,1,1,1,0]}`}:                       "attention_mask has 0, want examples without padding",
		{`:1}`, `:1,"labels":[-100,-100,-100,7,-100]}`}:                   "it has labels and also masked_lm_positions",
		{`[2,5,3`, `[2,null,3`}:                                           "input_ids has null, want numbers",
		{`:1}`, `:1,"tokens":["[CLS]","a"]}`}:                             "tokens has 2 words, want 5 as input_ids",
		{`:1}`, `:1,"tokens":["[CLS]","rain","[SEP]","[MASK]","[SEP]"]}`}: `tokens has "rain" for the id 5, the vocabulary "a": the example was made with another vocabulary`,
		{`:1}`, `:2}`}:                                                    "next_sentence_label is 2",
		{`"input_ids":[2,5,3,4,3],`, ``}:                                  "input_ids is empty",
		{`[2,5,3,4,3]`, `"x"`}:                                            "cannot unmarshal",
		{good, ``}:                                                        "there is no example in it",
		{`"masked_lm_positions":[3],"masked_lm_ids":[6]`, `"labels":[-100,6]`}:                                           "labels has 2 numbers, want 5",
		{`"masked_lm_positions":[3],"masked_lm_ids":[6]`, `"labels":[-100,-100,-100,-1,-100]`}:                           "masked_lm_ids has -1",
		{`"masked_lm_positions":[3],"masked_lm_ids":[6]`, `"labels":[6,-100,-100,-1,-100],"attention_mask":[1,1,1,1,0]`}: "attention_mask has 0",
	} {
		if _, err := ReadExamples(strings.NewReader(strings.Replace(good, change[0], change[1], 1)), tokenizer.Vocabulary); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v: the error is %v, want %s", change, err, want)
		}
	}
}

// No file of examples makes the program go wrong: what is accepted can be
// trained on.
func FuzzExamples(f *testing.F) {
	f.Add([]byte(`{"input_ids":[2,5,3,4,3],"token_type_ids":[0,0,0,1,1],"masked_lm_positions":[3],"masked_lm_ids":[6],"next_sentence_label":1}`))
	f.Add([]byte(`{"input_ids":[2,5,3,4,3],"token_type_ids":[0,0,0,1,1],"attention_mask":[1,1,1,1,1],"labels":[-100,-100,-100,6,-100],"next_sentence_label":1}`))
	m := smallModel(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		examples, err := ReadExamples(bytes.NewReader(data), make([]string, m.Config.VocabSize))
		if err != nil {
			return
		}
		for _, e := range examples {
			if len(e.Tokens) <= m.Config.MaxPositionEmbeddings {
				totalsOf(m, []Example{e})
			}
		}
	})
}
