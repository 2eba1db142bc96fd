package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

// Entities begin and end where seqeval says (these are its answers).
func TestEntities(t *testing.T) {
	for labels, want := range map[string][]Entity{
		"O O":                     nil,
		"B-PER I-PER O B-LOC":     {{"PER", 0, 2}, {"LOC", 3, 4}},
		"B-PER B-PER I-PER":       {{"PER", 0, 1}, {"PER", 1, 3}},
		"I-PER I-PER O I-LOC":     {{"PER", 0, 2}, {"LOC", 3, 4}}, // nobody said B-
		"B-PER I-LOC I-LOC":       {{"PER", 0, 1}, {"LOC", 1, 3}}, // another type
		"S-PER S-PER B-LOC E-LOC": {{"PER", 0, 1}, {"PER", 1, 2}, {"LOC", 2, 4}},
		"B-LOC E-LOC I-LOC":       {{"LOC", 0, 2}, {"LOC", 2, 3}}, // after an end
		"B-geo-loc I-geo-loc":     {{"geo-loc", 0, 2}},
	} {
		equal(t, Entities(strings.Fields(labels)), want, labels)
	}
}

// The score of labelled words is seqeval's where they are of entities: the right ones of all
// that were found, and of all there are.
func TestTagScore(t *testing.T) {
	score := func(labels []string, right, given string) *TagScore {
		c := asTask(Config{}, tagging, labels...)
		var cases []Case
		var logits [][]float32
		give := strings.Split(given, "; ")
		for i, sentence := range strings.Split(right, "; ") {
			var s Case
			var rows []float32
			for k, label := range strings.Fields(sentence) {
				n, err := NumberOf(label, labels)
				check(t, err)
				s.Targets, s.Labels = append(s.Targets, k), append(s.Labels, n)
				row := make([]float32, len(labels))
				row[slices.Index(labels, strings.Fields(give[i])[k])] = 1
				rows = append(rows, row...)
			}
			cases, logits = append(cases, s), append(logits, rows)
		}
		return measureTags(&c, cases, logits).(*TagScore)
	}
	// seqeval: f1_score 0.5, precision_score 0.5, recall_score 0.5, accuracy_score 0.7
	s := score([]string{"B-LOC", "B-PER", "I-LOC", "I-PER", "O"},
		"B-PER I-PER O B-LOC O; B-LOC I-LOC O O B-PER",
		"B-PER I-PER O O B-LOC; B-LOC O O O B-PER")
	equal(t, s, &TagScore{Count: 2, Words: 10, Accuracy: 0.7, Precision: 0.5, Recall: 0.5, F1: 0.5, entities: true,
		Labels: []LabelScore{{"LOC", 0, 0, 0, 2}, {"PER", 1, 1, 1, 2}}})
	value, name := s.Main()
	equal(t, name, "F1")
	equal(t, value, 0.5)

	words := score([]string{"noun", "nowhere", "verb"}, "noun verb noun", "noun noun noun")
	value, name = words.Main()
	equal(t, name, "accuracy")
	equal(t, value, 2.0/3)
	if want := (0.8 + 0) / 2; math.Abs(words.F1-want) > 1e-9 {
		t.Errorf("the F1 is %v, want %v", words.F1, want)
	}
}

// The first piece of a word has its label. What is cut off, and what has no token, has none.
func TestTagCases(t *testing.T) {
	tokenizer, err := NewTokenizer(append(slices.Clone(specialTokens), "no", "##ra", "ber", "##g", "bakes"), true)
	check(t, err)
	list := []Tagged{{[]string{"Nora", "\u200b", "Berg", "bakes"}, []string{"B", "O", "I", "O"}, 1}}
	cases, cut, none, err := TagCases(tokenizer, list, "line", []string{"B", "I", "O"}, 10)
	check(t, err)
	equal(t, strings.Join(tokenizer.Tokens(cases[0].Tokens), " "), "[CLS] no ##ra ber ##g bakes [SEP]")
	equal(t, cases[0].Targets, []int{1, 3, 5})
	equal(t, cases[0].Labels, []int32{0, 1, 2})
	equal(t, []int{cut, none}, []int{0, 1})

	cases, cut, none, err = TagCases(tokenizer, list, "line", []string{"B", "I", "O"}, 5) // room for three pieces
	check(t, err)
	equal(t, strings.Join(tokenizer.Tokens(cases[0].Tokens), " "), "[CLS] no ##ra ber [SEP]")
	equal(t, cases[0].Targets, []int{1, 3})
	equal(t, []int{cut, none}, []int{1, 1})

	_, _, _, err = TagCases(tokenizer, list, "line", []string{"B", "O"}, 10)
	if err == nil || !strings.HasPrefix(err.Error(), `line 1: the label "I" does not come up in training`) {
		t.Errorf("of an unseen label the error is %v", err)
	}
}

// Labelled words are read as they are published, and what is not understood is refused.
func TestReadTagged(t *testing.T) {
	for _, c := range []struct{ kind, word, label, text, want, found string }{
		{"", "", "", "-DOCSTART- -X- O O\n\nNora NNP I-NP B-PER\nbakes VBZ I-VP O\n\nBen NNP I-NP B-PER\n", "[{[Nora bakes] [B-PER O] 3} {[Ben] [B-PER] 6}]", "word: column 1, label: column 4, not read: 2 more"}, // CoNLL-2003
		{"", "", "", "Nora\tB-PER\r\n\t\r\nNew York\tB-LOC\r\n", "[{[Nora] [B-PER] 1} {[New York] [B-LOC] 3}]", "word: column 1, label: column 2"},
		{"", "", "", "# id 7\nNora _ _ B-PER\n# _ _ O\n\n# id 8 x=y\nBen _ _ O\n\n# id 9\n# _ _ O\n", "[{[Nora #] [B-PER O] 2} {[Ben] [O] 6} {[#] [O] 9}]", ", 3 lines of comment"}, // MultiCoNER
		{"", "", "", "Nora B-PER\n\n# O\n", "[{[Nora] [B-PER] 1} {[#] [O] 3}]", ""},
		{"", "", "", "# O\n7 O\n", "[{[# 7] [O O] 1}]", ""},
		{"", "", "", "Nora B-PER\n\n# a b\n", "line 3: it has 3 columns", ""},
		{"", "2", "3", "1 Nora B-PER x\n2 bakes O x\n", "[{[Nora bakes] [B-PER O] 1}]", "word: column 2, label: column 3"},
		{"json", "", "", `{"id": 1, "tokens": ["Nora", "bakes"], "pos_tags": [1, 2], "ner_tags": ["B-PER", "O"]}`, "[{[Nora bakes] [B-PER O] 1}]", `words: "tokens", labels: "ner_tags"`},
		{"json", "", "pos_tags", `[{"tokens": ["Nora", "bakes"], "pos_tags": [1, 2], "ner_tags": ["B-PER", "O"]}]`, "[{[Nora bakes] [1 2] 1}]", `labels: "pos_tags"`},

		{"", "", "", "", "there is no labelled word in it", ""},
		{"", "", "", "Nora\nbakes\n", "line 1: the word and its label are both in column 1 of 1", ""},
		{"", "", "", "Nora B-PER\nbakes\n", "line 2: it has 1 columns, the first line 2", ""},
		{"", "", "", "Nora\tB-PER\nbakes\t\n", "line 2: there is no word or no label", ""},
		{"", "", "", "Nor\xe9 B-PER\n", `line 1: "Nor\xe9 B-PER" is not UTF-8`, ""},
		{"", "3", "", "Nora B-PER\n", `line 1: -text-column is "3", want 1 to 2`, ""},
		{"csv", "", "", "Nora,B-PER\n", "labelled words are not read as CSV", ""},
		{"json", "", "", `{"text": "Nora bakes.", "label": [[0, 4, "PER"]]}`, `object 1: it has "text" "label", want a list of words and one of labels`, ""},
		{"json", "", "", `{"tokens": ["Nora"], "labels": ["O", "O"]}`, "object 1: there are 1 words and 2 labels", ""},
		{"json", "", "", `{"tokens": ["Nora"], "labels": [["O"]]}`, `object 1: "labels": it has "[\"O\"]", want a list of strings`, ""},
		{"json", "", "", `{"tokens": "Nora", "labels": ["O"]}`, `object 1: "tokens": want a list of strings`, ""},
		{"json", "", "", "{\"tokens\": [\"Nor\xe9\"], \"labels\": [\"O\"]}", `object 1: "tokens" is not UTF-8`, ""},
		{"json", "", "", `{"tokens": ["Nora"], "labels": ["O"], "tokens": ["Ben"]}`, `object 1: "tokens" stands there twice`, ""},
		{"json", "", "", `{"tokens": ["Nora"]`, "object 1: unexpected EOF", ""},
	} {
		list, found, err := LabelledFormat{Kind: c.kind, Text: c.word, Label: c.label}.ReadTagged(strings.NewReader(c.text))
		got := fmt.Sprint(list)
		if err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, c.want) || !strings.Contains(found, c.found) || strings.Contains(got, "\n") {
			t.Errorf("%q is read as %s (%s), want %s (%s)", c.text, got, found, c.want, c.found)
		}
	}
	_, err := TagsOf([]Tagged{{[]string{"a", "b", "c"}, []string{"B-PER", "U-LOC", "O"}, 1}})
	if err == nil || !strings.Contains(err.Error(), `begin with B- or I-, and "U-LOC"`) {
		t.Errorf("of labels of two kinds the error is %v", err)
	}
}

// No file of labelled words makes the program go wrong: what is accepted has a label for
// each word.
func FuzzTagged(f *testing.F) {
	f.Add("Nora B-PER\n\n# a b\n", "", "")
	f.Add(`{"tokens": ["Nora"], "labels": ["O"]}`, "json", "")
	f.Add("1\tNora\tO\n", "", "2")
	f.Fuzz(func(t *testing.T, text, kind, word string) {
		list, _, err := LabelledFormat{Kind: kind, Text: word}.ReadTagged(strings.NewReader(text))
		if err == nil && len(list) == 0 {
			t.Error("nothing was read and nothing said")
		}
		for _, s := range list {
			if len(s.Words) == 0 || len(s.Words) != len(s.Labels) || slices.Contains(s.Labels, "") {
				t.Errorf("%+v was accepted", s)
			}
		}
	})
}
