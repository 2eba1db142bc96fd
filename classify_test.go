package main

import (
	"strings"
	"testing"
)

// Labelled sentences are read from TSV and CSV, with and without a header.
func TestReadLabelled(t *testing.T) {
	single := []Labelled{{"sea", "The waves, are high.", "", 1}, {"baking", "The bread is warm.", "", 2}}
	pair := []Labelled{{"1", "Nora bakes.", "The bread is warm.", 1}, {"0", "Nora bakes.", "The moon is up.", 2}}
	below := func(list []Labelled) (moved []Labelled) { // a line of header
		for _, l := range list {
			l.Line++
			moved = append(moved, l)
		}
		return moved
	}
	for _, c := range []struct {
		text  string
		isCSV bool
		want  []Labelled
	}{
		{"sea\tThe waves, are high.\nbaking\tThe bread is warm.", false, single},
		{"\ufeffsea\tThe waves, are high.\r\nbaking\t The bread is warm. \r\n", false, single},
		{"label\tsentence\nsea\tThe waves, are high.\nbaking\tThe bread is warm.\n", false, below(single)},
		{"idx\tsentence\tLabel\n0\tThe waves, are high.\tsea\n1\tThe bread is warm.\tbaking\n", false, below(single)},
		{"1\tNora bakes.\tThe bread is warm.\n0\tNora bakes.\tThe moon is up.\n", false, pair},
		{"sea,\"The waves, are high.\"\nbaking,The bread is warm.\n", true, single},
		{"sentence1,sentence2,label,id\nNora bakes.,The bread is warm.,1,8\nNora bakes.,The moon is up.,0,9\n", true, below(pair)},
		{"label,text\nsea,\"The\nwaves\"\nbaking,x\n", true, []Labelled{{"sea", "The\nwaves", "", 2}, {"baking", "x", "", 4}}},
	} {
		got, err := ReadLabelled(strings.NewReader(c.text), c.isCSV)
		check(t, err)
		equal(t, got, c.want)
	}
}

// A file of labelled sentences that is not sound is refused, with the line.
func TestBadLabelledAreRefused(t *testing.T) {
	for _, c := range []struct {
		text  string
		isCSV bool
		want  string
	}{
		{"", false, "there is no labelled sentence in it"},
		{"label\tsentence\n", false, "there is no labelled sentence in it"},
		{"a\tone\n\nb\ttwo\n", false, "line 2 is empty"},
		{"a\tone\nb\ttwo\n \n", false, "line 3 is empty"},
		{"a,one\n\nb,two\n", true, "line 2 is empty"},
		{"a,\"o\nne\"\n\nb,two\n", true, "line 3 is empty"},
		{"a\tone\nb\n", false, "line 2: there is no sentence"},
		{"a\tone\n\ttwo\n", false, "line 2: there is no label"},
		{"a\tone\tx\nb\ttwo\t\n", false, "line 2: there is no second sentence"},
		{"a\tone\tx\nb\ttwo\n", false, "line 2: some lines have one sentence, some two"},
		{"a\tone\tx\ty\n", false, "line 1: there are 4 fields"},
		{"label\ta\tb\tc\n", false, "line 1 has the columns"},
		{"label,text\nb,\"x\n", true, "line 2"},
	} {
		_, err := ReadLabelled(strings.NewReader(c.text), c.isCSV)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: the error is %v, want one with %q", c.text, err, c.want)
		}
	}
	if _, err := LabelsOf([]Labelled{{Label: "a"}, {Label: "a"}}); err == nil || !strings.Contains(err.Error(), `all lines have the label "a"`) {
		t.Errorf("of a single class the error is %v", err)
	}
	_, tokenizer, _, err := LoadModel("testdata/huggingface")
	check(t, err)
	_, _, err = LabelledCases(tokenizer, []Labelled{{"c", "bread", "", 7}}, []string{"a", "b"}, 10)
	if err == nil || err.Error() != `line 7: the label "c" does not come up in training, where the labels are "a" "b"` {
		t.Errorf("of an unseen label the error is %v", err)
	}
}

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
	} {
		ids, segments, cut := tokenizer.Sequence(c.a, c.b, c.room)
		equal(t, strings.Join(tokenizer.Tokens(ids), " "), c.want)
		equal(t, len(segments), len(ids))
		equal(t, cut, c.cut)
	}
}

// No file of labelled sentences makes the program go wrong: what is accepted has a
// label and a sentence in each line.
func FuzzLabelled(f *testing.F) {
	f.Add("label,text\na,\"b\n\"\n", true)
	f.Add("\ta\t\n", false)
	f.Fuzz(func(t *testing.T, text string, isCSV bool) {
		list, err := ReadLabelled(strings.NewReader(text), isCSV)
		if err == nil && len(list) == 0 {
			t.Error("nothing was read and nothing said")
		}
		for _, l := range list {
			if l.Label == "" || l.A == "" || l.Line < 1 {
				t.Errorf("%+v was accepted", l)
			}
		}
	})
}
