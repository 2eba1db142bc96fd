package main

import (
	"fmt"
	"os"
	"path/filepath"
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
		text string
		kind string
		want []Labelled
	}{
		{"sea\tThe waves, are high.\nbaking\tThe bread is warm.", "", single},
		{"sea\tThe waves, are high.\r\nbaking\t The bread is warm. \r\n", "", single},
		{"sea\tThe waves, are high.\nbaking\tThe bread is warm.\n\n \n", "", single}, // nothing, at the end
		{"sea,\"The waves, are high.\"\nbaking,The bread is warm.\n\n", "csv", single},
		{"label\tsentence\nsea\tThe waves, are high.\nbaking\tThe bread is warm.\n", "", below(single)},
		{"idx\tsentence\tLabel\n0\tThe waves, are high.\tsea\n1\tThe bread is warm.\tbaking\n", "", below(single)},
		{"1\tNora bakes.\tThe bread is warm.\n0\tNora bakes.\tThe moon is up.\n", "", pair},
		{"sea,\"The waves, are high.\"\nbaking,The bread is warm.\n", "csv", single},
		{"sentence1,sentence2,label,id\nNora bakes.,The bread is warm.,1,8\nNora bakes.,The moon is up.,0,9\n", "csv", below(pair)},
		{"label,text\nsea,\"The\nwaves\"\nbaking,x\n", "csv", []Labelled{{"sea", "The\nwaves", "", 2}, {"baking", "x", "", 4}}},
	} {
		got, _, err := LabelledFormat{Kind: c.kind}.Read(strings.NewReader(c.text))
		check(t, err)
		equal(t, got, c.want)
	}
}

// A file of labelled sentences that is not sound is refused, with the line.
func TestBadLabelledAreRefused(t *testing.T) {
	for _, c := range []struct {
		text string
		kind string
		want string
	}{
		{"", "", "there is no labelled sentence in it"},
		{"label\tsentence\n", "", "there is no labelled sentence in it"},
		{"a\tone\n\nb\ttwo\n", "", "line 2 is empty"},
		{"a,one\n\nb,two\n", "csv", "line 2 is empty"},
		{"a,\"o\nne\"\n\nb,two\n", "csv", "line 3 is empty"},
		{"a\tone\nb\n", "", "line 2: it has 1 fields, the first line 2"},
		{"a\tone\n\ttwo\n", "", "line 2: there is no label"},
		{"a\tone\tx\nb\ttwo\t\n", "", "line 2: there is no second sentence"},
		{"a\tone\tx\nb\ttwo\n", "", "line 2: it has 2 fields, the first line 3"},
		{"a\tone\tx\ty\n", "", "line 1 has 4 fields: name the sentence with -text-column"},
		{"label\ta\tb\tc\n", "", `the columns are "label" "a" "b" "c": name the sentence with -text-column`},
		{"label,text\nb,\"x\n", "csv", "line 2"},
	} {
		_, _, err := LabelledFormat{Kind: c.kind}.Read(strings.NewReader(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: the error is %v, want one with %q", c.text, err, c.want)
		}
	}
	var c Config
	if _, err := learnOneLabel(&c, []Labelled{{Label: "a"}, {Label: "a"}}); err == nil || !strings.Contains(err.Error(), `all lines have the label "a"`) {
		t.Errorf("of a single class the error is %v", err)
	}
	_, tokenizer, _, err := LoadModel("testdata/huggingface")
	check(t, err)
	put, err := learnOneLabel(&c, []Labelled{{Label: "a"}, {Label: "b"}})
	check(t, err)
	_, _, err = SentenceCases(tokenizer, []Labelled{{"c", "bread", "", 7}}, "line", put, 10)
	if err == nil || err.Error() != `line 7: the label "c" does not come up in training, where the labels are "a" "b"` {
		t.Errorf("of an unseen label the error is %v", err)
	}
}

// The files of GLUE and of others are read as they are published, with or without flags.
func TestPublishedLayouts(t *testing.T) {
	for _, c := range []struct {
		format            LabelledFormat
		text, want, found string
	}{
		{LabelledFormat{}, "sentence\tlabel\na fish swims\t1\nno\t0\n", "[{1 a fish swims  2} {0 no  3}]", `label: column 2 "label", sentence: column 1 "sentence"`},                   // SST-2
		{LabelledFormat{}, "gj04\t1\t\tA fish swims.\ngj04\t0\t*\tA swims fish.\n", "[{1 A fish swims.  1} {0 A swims fish.  2}]", "label: column 2, sentence: column 4, not read: 2"}, // CoLA
		{LabelledFormat{}, "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t7\t8\ta\tb\n", "[{1 a b 2}]", "not read: 2"},                                                               // MRPC
		{LabelledFormat{}, "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n0\t1\t2\ta?\tb?\t0\n", "[{0 a? b? 2}]", `label: column 6 "is_duplicate"`},                              // QQP
		{LabelledFormat{}, "index\tpairID\tgenre\tsentence1_parse\tsentence1\tsentence2\tlabel1\tgold_label\n0\t1\tx\t(a)\ta\tb\tneutral\tentailment\n1\t1\tx\t(a)\ta\tc\tneutral\t-\n",
			"[{entailment a b 2}]", "; 1 without a gold_label left out"}, // MNLI
		{LabelledFormat{}, "index\tquestion\tsentence\tlabel\n0\ta?\tb\tentailment\n", "[{entailment a? b 2}]", "second sentence: column 3"}, // QNLI
		{LabelledFormat{Kind: "csv"}, ",sentence,label\n0,a fish swims,sea\n", "[{sea a fish swims  2}]", "not read: 1 more"},                // pandas' index
		{LabelledFormat{}, "\tlabel\ttext\n0\tsea\ta fish swims\n", "[{sea a fish swims  2}]", ""},
		{LabelledFormat{Kind: "csv"}, "category,text\nsea,a fish swims\n", "[{sea a fish swims  2}]", ""},
		{LabelledFormat{Kind: "csv"}, "text,target\na fish swims,sea\n", "[{sea a fish swims  2}]", ""},
		{LabelledFormat{Kind: "csv"}, "title,text,length,label\nx,a fish swims,12,sea\n", "[{sea a fish swims  2}]", "not read: 2 more"},
		{LabelledFormat{Kind: "csv", Label: "topic", Text: "remark"}, "topic,remark,when\nsea,a fish swims,12\n", "[{sea a fish swims  2}]", `label: column 1 "topic", sentence: column 2 "remark"`},
		{LabelledFormat{Label: "2", Header: "no"}, "a fish swims\tsea\nbread\thome\n", "[{sea a fish swims  1} {home bread  2}]", "label: column 2, sentence: column 1"},
		{LabelledFormat{Text: "1", Pair: "2", Header: "no"}, "a\tb\tsea\n", "[{sea a b 1}]", "label: column 3"},
		{LabelledFormat{Label: "2", Text: "1", Pair: "3", Header: "yes"}, "x\ty\tz\na\tsea\tb\n", "[{sea a b 2}]", "second sentence: column 3"},
		{LabelledFormat{}, "3.5\ta\nnan\tb\n", "[{3.5 a  1} {nan b  2}]", ""}, // words, not numbers to be learnt
		{LabelledFormat{Header: "no"}, "label\ttext\nsea\ta\n", "[{label text  1} {sea a  2}]", ""},
		{LabelledFormat{Kind: "json"}, `{"text": "a", "label": 1, "x": [1]}` + "\n" + `{"label": true, "text": "b"}`, "[{1 a  1} {true b  2}]", "not read: 1 more"},
		{LabelledFormat{Kind: "json"}, `{"text": "a", "label": 1} {"text": "b", "label": 2, "note": "x"}`, "[{1 a  1} {2 b  2}]", "not read: 1 more"},
		{LabelledFormat{Kind: "json"}, `{"text": "\u0000\u0001", "label": "\u0001\ud83d\udc1f\\ud800"}`, "[{\x01\U0001f41f\\ud800 \x00\x01  1}]", ""},
		{LabelledFormat{Kind: "json"}, `[{"premise": "a", "hypothesis": "b", "label": "x"}]`, "[{x a b 1}]", "second sentence"},
	} {
		list, found, err := c.format.Read(strings.NewReader(c.text))
		if err != nil || fmt.Sprint(list) != c.want || !strings.Contains(found, c.found) {
			t.Errorf("%q is read as %v, %s, %v, want %s, %s", c.text, list, found, err, c.want, c.found)
		}
	}
	equal(t, []string{FormatOf("a.CSV.gz"), FormatOf("a.jsonl"), FormatOf("b.csv.d/a.tsv")}, []string{"csv", "json", ""})
}

// Where it would be a guess what is what, nothing is read, and the flag named that says it.
func TestColumnsAreAskedFor(t *testing.T) {
	for _, c := range []struct {
		format     LabelledFormat
		text, want string
	}{
		{LabelledFormat{}, "topic\tremark\nsea\ta\nsea\tb\nhome\tc\nhome\td\n", `line 1: the label "topic" comes up in no other line. Is it the name of a column? Say -header yes, or -header no`},
		{LabelledFormat{}, "stars\tremark\n1\ta\n2\tb\n", `the label "stars" comes up in no other line`},
		{LabelledFormat{Header: "yes"}, "topic\tremark\nsea\ta\n", `the columns are "topic" "remark": name the label's with -label-column`},
		{LabelledFormat{}, "sea\ta\t0.3\nhome\tb\t0.4\n", "line 1 has 3 fields: name the sentence with -text-column"},
		{LabelledFormat{}, "label\tone\ttwo\nsea\ta\t12\n", `the columns are "label" "one" "two": name the sentence with -text-column`},
		{LabelledFormat{}, "label\ttext\treview\nsea\ta\tb\n", "name the sentence with -text-column"},
		{LabelledFormat{}, "a b\tsea\nc d\tsea\ne f\thome\ng h\thome\n", "each line has another label"},
		{LabelledFormat{Text: "what"}, "label\ttext\nsea\ta\n", `-text-column is "what", but the columns are "label" "text"`},
		{LabelledFormat{Label: "1", Text: "1"}, "sea\ta\n", "name one column twice"},
		{LabelledFormat{Text: "1", Pair: "2"}, "a\tb\n", "line 1 has 2 fields, and no other for the label"},
		{LabelledFormat{Label: "3"}, "sea\ta\n", `-label-column is "3", but line 1 has 2 fields`},
		{LabelledFormat{}, "label\ttext\n3.8\ta\n4\tb\n", "line 2: the label is 3.8. Numbers with fractions"},
		{LabelledFormat{}, "label\ttext\nsea\tcaf\xe9\n", `line 2: field 2, "caf\xe9", is not UTF-8`},
		{LabelledFormat{}, "label\ttext\ncaf\xe9\ta\n", "line 2: field 1"},
		{LabelledFormat{Kind: "json"}, `{"text": "a", "label": [1, 2]}`, "object 1: the label is a list or an object"},
		{LabelledFormat{Kind: "json"}, `{"text": "a", "label": 1} 7`, "object 2: it has 7, want an object"},
		{LabelledFormat{Kind: "json"}, `{"text": "a"`, "object 1: unexpected EOF"},
		{LabelledFormat{Kind: "json"}, `{"text": "a", "label": 1}` + "\n" + `{"text": "b", "label": 0, "label": 1}`, `object 2: "label" stands there twice, want it once`},
		{LabelledFormat{Kind: "json"}, `{"sentence1": "a", "label": 1} {"sentence1": "a", "sentence2": "b", "label": 0}`, `object 1: there is no second sentence in column 3 "sentence2"`},
		{LabelledFormat{Kind: "json"}, `{"text": "a", "score": 1} {"text": "b", "score": 0, "label": "x"}`, `object 1: there is no label in column 3 "label"`},
		{LabelledFormat{Kind: "json"}, "{\"text\": \"a\",\n\"label\": 3.8}\n\n{\"text\": \"b\", \"label\": 4}", "object 1: the label is 3.8"},
		{LabelledFormat{Kind: "json"}, `{"text": "b\ud800", "label": 0}`, `object 1: "text" has \ud8…, half a character without the other half`},
		{LabelledFormat{Kind: "json"}, `{"text": "b", "label": ["\\\uDC00\ud83d"]}`, `"label" has \uDC…, half a character`},
		{LabelledFormat{Kind: "json"}, "[]", "there is no labelled sentence"},
	} {
		_, _, err := c.format.Read(strings.NewReader(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: the error is %v, want one with %q", c.text, err, c.want)
		}
	}
}

// No file of labelled sentences makes the program go wrong: what is accepted has a
// label and a sentence in each line.
func FuzzLabelled(f *testing.F) {
	f.Add("label,text\na,\"b\n\"\n", "csv", "", "")
	f.Add("\ta\t\n", "", "2", "no")
	f.Add(`{"label": 1, "text": "a"} {"text": "b", "label": true}`, "json", "text", "yes")
	f.Fuzz(func(t *testing.T, text, kind, label, header string) {
		list, _, err := LabelledFormat{Kind: kind, Label: label, Header: header}.Read(strings.NewReader(text))
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

// What is held out is from the file to train on, and what is said of it names that.
func TestHeldOutIsNamed(t *testing.T) {
	model, _ := trained(t)
	file := filepath.Join(t.TempDir(), "task.tsv")
	check(t, os.WriteFile(file, []byte(strings.Repeat("1\tNora bakes the bread in the oven.\n", 20)), 0o666))
	_, _, stderr := runHere("", "finetune", "-model", model, "-task", "regress", "-train", file, "-out", filepath.Join(t.TempDir(), "out"), "-epochs", "1", "-max-seq", "8")
	if want := file + ": 2 of 2 have more than 8 tokens, and were cut"; !strings.Contains(stderr, want) {
		t.Errorf("it says %s, want %q", stderr, want)
	}
}
