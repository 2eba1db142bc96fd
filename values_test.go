package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Numbers are scored as scipy scores them, and what is always the same goes with nothing.
func TestNumberScore(t *testing.T) {
	var cases []Case
	var logits [][]float32
	for i, y := range []float32{1.5, 2, 2, -1, 4, 0.5} {
		logits = append(logits, []float32{y})
		cases = append(cases, Case{Values: []float32{[]float32{1, 2, 3, -2, 2, 1}[i]}})
	}
	s := measureNumbers(nil, cases, logits).(*NumberScore)
	for what, c := range map[string][2]float64{
		"Pearson":  {s.Pearson, 0.7980212285521632},
		"Spearman": {s.Spearman, 0.8508410434878082},
		"the mean": {s.MeanSq, 1.0833333333333333},
		"constant": {pearson([]float64{1, 1, 1}, []float64{1, 2, 3}), 0},
	} {
		if math.Abs(c[0]-c[1]) > 1e-9 {
			t.Errorf("%s is %v, want %v", what, c[0], c[1])
		}
	}
	equal(t, ranks([]float64{3, 1, 3, 0}), []float64{2.5, 1, 2.5, 0})
}

// Several labels at once are scored as scikit-learn scores them.
func TestSeveralScore(t *testing.T) {
	right := [][]float32{{1, 0, 1}, {0, 0, 0}, {0, 1, 0}, {1, 1, 0}}
	given := [][]float32{{2, -1, -3}, {-1, -1, 0}, {-1, 2, 1}, {1, -1, -1}}
	var cases []Case
	for _, values := range right {
		cases = append(cases, Case{Values: values})
	}
	c := asTask(Config{}, severalLabels, "a", "b", "c")
	s := measureSeveral(&c, cases, given).(*SeveralScore)
	equal(t, s.Accuracy, 0.25)
	equal(t, s.MicroF1, 6.0/9)
	equal(t, s.MacroF1, (1+2.0/3)/3)
	equal(t, s.Labels, []LabelScore{{"a", 1, 1, 1, 2}, {"b", 1, 0.5, 2.0 / 3, 2}, {"c", 0, 0, 0, 1}})
}

// Files with numbers or several labels are read as they are published, and what is not
// understood is refused.
func TestReadValues(t *testing.T) {
	for _, c := range []struct{ task, kind, label, text, want string }{
		{aNumber, "", "", "index\tgenre\tsentence1\tsentence2\tscore\n0\tx\ta\tb\t3.80\n1\tx\tc\td\t0\n", "[{3.80 a b 2} {0 c d 3}]"}, // STS-B
		{aNumber, "", "", "3\ta\n0.5\tb\n", "[{3 a  1} {0.5 b  2}]"},
		{aNumber, "", "", "stars\tremark\n3\ta\n0.5\tb\n", `the label "stars" comes up in no other line`},
		{severalLabels, "", "", "a,b\tone\n\ttwo\nc\tthree\n", "[{a,b one  1} { two  2} {c three  3}]"},
		{severalLabels, "json", "", `{"text": "one", "labels": ["a", "b"]} {"text": "two", "labels": []}`, "[{a,b one  1} { two  2}]"},
		{severalLabels, "json", "", `{"text": "one", "labels": ["a, b"]}`, "the label is a list or an object, want a text or a list of texts"},
		{severalLabels, "json", "", `{"text": "one", "labels": ["a"]} {"text": "two"}`, `object 2: there is no label in column 2 "labels"`},
		{severalLabels, "json", "", `{"text": "one", "labels": "a"} {"text": "two", "labels": null}`, `object 2: there is no label in column 2 "labels"`},
		{severalLabels, "csv", "", "text,labels\none,a\ntwo\n", `line 3: there is no label in column 2 "labels"`},
		{severalLabels, "csv", "", "text,labels\none,a\ntwo,\n", "[{a one  2} { two  3}]"},
		{severalLabels, "csv", "", "id,comment_text,toxic,threat,insult\n7,one,1,0,1\n8,two,0,0,0\n", "[{toxic,insult one  2} { two  3}]"}, // Jigsaw
		{severalLabels, "csv", "threat,insult", "id,remark,toxic,threat,insult\n7,one,1,0,1\n8,two,0,0,0\n", "name the sentence with -text-column"},
		{severalLabels, "csv", "threat,rude", "text,toxic,threat\none,1,0\n", `-label-column has "rude", but the columns are "text" "toxic" "threat"`},
		{severalLabels, "csv", "toxic,threat", "text,toxic,threat\none,1,2\n", `line 2: the column "threat" has "2", want 1 or 0`},
		{severalLabels, "csv", "", ",text,toxic,threat\n0,one,1,0\n1,two,0,0\n", "[{toxic one  2} { two  3}]"}, // pandas' index
		{severalLabels, "csv", "", "text,toxic,threat\none,1.0,0\ntwo,0.0,1\n", "[{toxic one  2} {threat two  3}]"},
		{severalLabels, "csv", "toxic,threat", "body,votes,toxic,threat\none,3,1,0\n", `the columns are "body" "votes" "label": name the sentence with -text-column`},
		{severalLabels, "csv", "", "text,toxic,threat\none,1,0\ntwo,0,yes\nthree,0,0\n", `line 3: the column "threat" has "yes", want 1 or 0, or the columns of the labels named with -label-column`},
		{severalLabels, "csv", "", "text,toxic,threat\none,1,0\ntwo,-1,-1\nthree,0,0\n", `line 3: the column "toxic" has "-1", want 1 or 0, or the columns`},
		{severalLabels, "csv", "", "text,toxic,threat\none,1,0\ntwo,0,\nthree,0,0\n", `line 3: the column "threat" has nothing, want 1 or 0`},
		{severalLabels, "json", "", `{"text": "one", "toxic": true, "threat": false} {"text": "two", "toxic": 0}`, `object 2: the column "threat" has nothing, want 1 or 0`},
		{severalLabels, "json", "", `{"text": "one", "toxic": true, "threat": false} {"text": "two", "toxic": 0, "threat": 1}`, "[{toxic one  1} {threat two  2}]"},
		{severalLabels, "csv", "toxic,threat", "text,toxic,threat,rude\none,1,0,1\ntwo,0,1,\n", "[{toxic one  2} {threat two  3}]"},
		{severalLabels, "csv", "", "text,\"a,b\",c\none,1,0\n", `the column "a,b" has a comma in its name`},
		{"", "json", "", "{\"text\": \"caf\xe9\", \"label\": \"a\"}", `object 1: "text" is not UTF-8`},
		{severalLabels, "", "", "a b\tone\nc d\tone\ne f\ttwo\ng h\ttwo\n", "each line has another label"},
		{"", "json", "", `{"text": "one", "label": ["a", "b"]}`, "the label is a list or an object"},
	} {
		list, found, err := LabelledFormat{Kind: c.kind, Label: c.label, Task: c.task}.Read(strings.NewReader(c.text))
		got := fmt.Sprint(list)
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, c.want) {
			t.Errorf("%q is read as %s (%s), want %s", c.text, got, found, c.want)
		}
	}
	for text, want := range map[string]string{
		"text,toxic,threat\none,1,0\n":           `labels: the columns "toxic" "threat" with 1 or 0, sentence: column 1 "text"`,
		"id,text,toxic,threat,n\n7,one,1,0,70\n": `labels: the columns "toxic" "threat" with 1 or 0, sentence: column 2 "text", not read: 2 more`,
	} {
		_, found, err := LabelledFormat{Kind: "csv", Task: severalLabels}.Read(strings.NewReader(text))
		check(t, err)
		equal(t, found, want)
	}
	var c Config
	put, err := learnNumbers(&c, nil)
	check(t, err)
	for _, label := range []string{"warm", "0x1p3", "3_0", "nan", "-inf", "1e30", "1e99", ""} {
		if err := put(&Case{}, &Labelled{Label: label}); err == nil || err.Error() != fmt.Sprintf("the label is %q, want a decimal number from -1e+12 to 1e+12", label) {
			t.Errorf("of %q for a number the error is %v", label, err)
		}
	}
	for label, want := range map[string]float32{"-3.5": -3.5, "+1e12": 1e12, "1E-9": 1e-9, ".5": 0.5} {
		var c Case
		check(t, put(&c, &Labelled{Label: label}))
		equal(t, c.Values, []float32{want})
	}
	if _, err := learnSeveral(&c, []Labelled{{Label: "a|b"}}); err == nil || !strings.Contains(err.Error(), "part them by commas") {
		t.Errorf("of labels with | between them the error is %v", err)
	}
}

// Each task is learnt from a small set: names in a text, what sentences are about, and of how
// many things. A tenth is held out, and scored above 95%. (How alike two sentences are,
// testdata/alike.tsv, takes a model that has been pre-trained.)
func TestSmallSetsAreLearnt(t *testing.T) {
	open := func(name string) *os.File {
		f, err := os.Open("testdata/" + name)
		check(t, err)
		t.Cleanup(func() { f.Close() })
		return f
	}
	text := func(name string) string {
		data, err := os.ReadFile("testdata/" + name)
		check(t, err)
		return string(data)
	}
	tagged, _, err := LabelledFormat{}.ReadTagged(open("names.conll"))
	check(t, err)
	words, err := TrainVocabulary(CountWords([]string{text("names.conll"), text("about.tsv")}, true), 300)
	check(t, err)
	tokenizer, err := NewTokenizer(words, true)
	check(t, err)
	c := smallModel(t).Config
	c.VocabSize, c.HiddenSize, c.IntermediateSize, c.MaxPositionEmbeddings, c.InitializerRange = len(tokenizer.Vocabulary), 32, 64, 40, 0.05
	pretrained, err := NewModel(c, 1)
	check(t, err)

	sentences := func(task string) (Config, []Case) {
		list, _, err := LabelledFormat{Task: severalLabels}.Read(open("about.tsv"))
		check(t, err)
		for i, l := range list {
			if task == aNumber {
				list[i].Label = fmt.Sprint(len(SplitLabels(l.Label)))
			}
		}
		config := c
		put, err := sentenceTasks[task](&config, list)
		check(t, err)
		cases, cut, err := SentenceCases(tokenizer, list, "line", put, 40)
		check(t, err)
		equal(t, cut, 0)
		return config, cases
	}
	labels, err := TagsOf(tagged)
	check(t, err)
	tags, cut, none, err := TagCases(tokenizer, tagged, "line", labels, 40)
	check(t, err)
	equal(t, []int{len(tags), cut, none}, []int{400, 0, 0})
	learn := func(config Config, cases []Case, epochs int) {
		m, err := Transfer(pretrained, config, 1, true)
		check(t, err)
		held := len(cases) / 10
		tuner := &Tuner{Model: m, Cases: cases[held:], Settings: TuneSettings(), Epochs: epochs}
		tuner.Settings.LearningRate = 4e-3
		check(t, tuner.Train(t.Context()))
		score, name := m.ScoreOf(cases[:held]).Main()
		t.Logf("%s: %s %.3f", config.Task(), name, score)
		if score < 0.95 {
			t.Errorf("%s: the %s is %.3f, want 0.95 or more", config.Task(), name, score)
		}
	}
	learn(asTask(c, tagging, labels...), tags, 12)
	config, cases := sentences(severalLabels)
	learn(config, cases, 12)
	config, cases = sentences(aNumber)
	learn(config, cases, 12)
}

// Numbers, several labels at once and labels of words are learnt and found by the same
// commands, with arguments and in a pipe, for text and for programs.
func TestOtherTasksAtWork(t *testing.T) {
	model, _ := trained(t)
	dir := t.TempDir()
	run := func(stdin string, args ...string) (stdout, stderr string) {
		t.Helper()
		status, stdout, stderr := runHere(stdin, args...)
		if status != exitDone {
			t.Fatalf("%v: exit status %d: %s", args, status, stderr)
		}
		return stdout, stderr
	}
	tune := func(task, file, read, score string) (out string) {
		t.Helper()
		out = filepath.Join(dir, task)
		stdout, stderr := run("", "finetune", "-model", model, "-task", task, "-train", "testdata/"+file, "-out", out, "-epochs", "1", "-lr", "1e-2")
		if !strings.Contains(stderr, read) || !regexp.MustCompile(score).MatchString(stdout) {
			t.Errorf("%s: %s%s", task, stderr, stdout)
		}
		return out
	}
	object := func(text string) (fields map[string]any) {
		t.Helper()
		check(t, json.Unmarshal([]byte(text), &fields))
		return fields
	}

	regress := tune("regress", "alike.tsv", "label: column 1, sentence: column 2, second sentence: column 3; 600 rows\n", `^Pearson -?\d\.\d{3}   Spearman .*\(60 sentences\)`)
	number, _ := run("Tom sells a map.\tTom sells a map.\n", "classify", "-model", regress)
	asJSON, _ := run("", "classify", "-model", regress, "-json", "Tom sells a map.", "Tom sells a map.")
	equal(t, fmt.Sprintf("%.4f\n", object(asJSON)["number"]), number)

	several := tune("multilabel", "about.tsv", `4 labels: "animal" "food" "tool" "weather"`, `(?s)^micro F1 .*\(40 sentences\)\n\n +label .*animal .*weather`)
	lines, _ := run("Tom eats soup.\nPip waits.\n", "classify", "-model", several)
	equal(t, strings.Count(lines, "\n"), 2)
	asJSON, _ = run("", "classify", "-model", several, "-json", "Tom eats soup.")
	labels := []string{}
	for _, label := range object(asJSON)["labels"].([]any) {
		labels = append(labels, label.(string))
	}
	equal(t, strings.SplitN(lines, "\t", 2)[0], strings.Join(labels, ","))

	names := tune("tag", "names.conll", `word: column 1, label: column 2; 400 sentences, 7 labels: "B-LOC" "B-PER"`, `(?s)^F1 .*words in 40 sentences\)\n\n +entity .*LOC .*PER .*SHIP`)
	text := "Über Nora\tund Tom"
	lines, _ = run(text+"\nTom.\n", "tag", "-model", names)
	equal(t, strings.HasPrefix(lines, text+"\n"), true)
	asJSON, _ = run(text+"\nTom.\n", "tag", "-model", names, "-json")
	for i, line := range strings.Split(strings.TrimSpace(asJSON), "\n") {
		for _, f := range object(line)["found"].([]any) {
			found := f.(map[string]any)
			in := []rune([]string{text, "Tom."}[i])
			equal(t, string(in[int(found["start"].(float64)):int(found["end"].(float64))]), found["text"])
		}
	}
	table, stderr := run("", "finetune", "-model", model, "-task", "tag", "-train", "testdata/names.conll", "-study", "-epochs", "1", "-seeds", "1")
	equal(t, strings.Count(table, "\n"), 1+5)
	equal(t, strings.Contains(stderr, "the score is F1"), true)
}
