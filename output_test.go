package main

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Line i of standard input has result i, also where there is no text in it: with -json an empty
// one, otherwise an empty line. The others are what they are one by one.
func TestBlankLines(t *testing.T) {
	model, corpus := trained(t)
	classifier, answerer, _ := tuned(t, model)
	tagger := filepath.Join(t.TempDir(), "tagger")
	status, _, stderr := runHere("", "finetune", "-model", model, "-task", "tag", "-train", "testdata/names.conll", "-out", tagger, "-epochs", "1")
	equal(t, status, exitDone, stderr)
	for _, c := range []struct {
		text, empty string
		args        []string
	}{
		{"The [MASK].", `{"masks":[],"tokens":[]}`, []string{"fill", "-model", model}},
		{"Nora bakes.\tThe bread is warm.", `{"is_next":null,"not_next":null}`, []string{"next", "-model", model}},
		{"The bread is warm.", `{"label":null,"probabilities":{},"probability":null}`, []string{"classify", "-model", classifier}},
		{"Nora Berg lives here.", `{"found":[]}`, []string{"tag", "-model", tagger}},
		{"Who bakes?", `{"answer":null,"end":null,"no_answer":null,"score":null,"start":null}`, []string{"answer", "-model", answerer, "-context", corpus}},
		{"The bread.", `{"mean":null,"pooled":null}`, []string{"embed", "-model", model}},
		{"The bread.", `{"embedding":null}`, []string{"embed", "-model", model, "-pool", "cls"}},
	} {
		for _, asJSON := range []bool{false, true} {
			empty := "\n"
			if asJSON || c.args[0] == "embed" {
				empty = c.empty + "\n"
			}
			if asJSON {
				c.args = append(c.args, "-json")
			}
			_, one, _ := runHere(c.text+"\n", c.args...)
			status, got, stderr := runHere("\n"+c.text+"\n"+c.text+"\n \t\r\n\n"+c.text, c.args...)
			equal(t, status, exitDone, stderr)
			equal(t, stderr, "")
			equal(t, got, empty+one+one+empty+empty+one, c.args[0])
		}
	}
	status, stdout, stderr := runHere("The [MASK].\n\nThe bread.\n", "fill", "-model", model)
	if status != exitFailed || !strings.HasSuffix(stdout, "\n\n") || !strings.Contains(stderr, "line 3: there is no [MASK]") {
		t.Errorf("exit status %d, %q, %s", status, stdout, stderr)
	}

	config := DefaultConfig()
	for _, c := range []struct {
		task   string
		labels []string
	}{{aNumber, []string{"score"}}, {aNumber, []string{"a", "b"}}, {severalLabels, []string{"a", "b"}}, {oneLabel, []string{"a", "b"}}} {
		config.SetTask(c.task, c.labels)
		fields, none := labelsResult(&config, make([]float32, len(c.labels))).object.(map[string]any), noLabels(&config)
		for name := range fields {
			if _, ok := none[name]; !ok || len(none) != len(fields) {
				t.Errorf("%s: without text it has %v, want what %v has", c.task, none, fields)
			}
		}
	}
}

// brokenOutput takes nothing.
type brokenOutput struct{ with error }

func (b brokenOutput) Write([]byte) (int, error) {
	return 0, &os.PathError{Op: "write", Path: "/dev/stdout", Err: b.with}
}

// endless repeats a line without an end, or nearly so, and counts its bytes.
type endless struct {
	line string
	read int
}

func (e *endless) Read(p []byte) (n int, err error) {
	if e.read > 1<<22 { // for the test to fail, and not to hang
		return 0, io.EOF
	}
	for n < len(p) {
		n += copy(p[n:], e.line[(e.read+n)%len(e.line):])
	}
	e.read += n
	return n, nil
}

// A command that cannot write its results says so, once, and stops reading. A reader that has
// gone is no failure of a training.
func TestBrokenOutput(t *testing.T) {
	model, corpus := trained(t)
	classifier, answerer, labelled := tuned(t, model)
	for _, c := range []struct {
		line string
		args []string
	}{
		{"", []string{"explain", "-model", model, "The bread."}},
		{"", []string{"eval", "-model", model, "-corpus", corpus, "-max-seq", "48"}},
		{"", []string{"examples", "-model", model, "-corpus", corpus, "-max-seq", "48"}},
		{"", []string{"vocab", "-corpus", corpus, "-show", "3"}},
		{"", []string{"fill", "-h"}},
		{"", []string{"finetune", "-model", model, "-task", "classify", "-train", labelled, "-epochs", "1", "-out", filepath.Join(t.TempDir(), "out")}},
		{"", []string{"finetune", "-model", model, "-task", "classify", "-train", labelled, "-epochs", "1", "-seeds", "1", "-study"}},
		{"The [MASK].\n", []string{"fill", "-model", model}},
		{"The [MASK].\n", []string{"fill", "-model", model, "-json"}},
		{"\n", []string{"fill", "-model", model}},
		{"The bread.\tIt is warm.\n", []string{"next", "-model", model}},
		{"The bread.\n", []string{"embed", "-model", model}},
		{"The bread.\n", []string{"classify", "-model", classifier}},
		{"Who bakes?\n", []string{"answer", "-model", answerer, "-context", corpus}},
		{"The bread.\n", []string{"tokenize", "-model", model}},
		{"The bread. ", []string{"tokenize", "-model", model, "-ids"}},
	} {
		var errs bytes.Buffer
		in := &endless{line: c.line}
		stdin := io.Reader(in)
		if c.line == "" {
			stdin = strings.NewReader("")
		}
		status := run(c.args, stdin, brokenOutput{syscall.ENOSPC}, &errs)
		want := c.args[0] + ": standard output: " + syscall.ENOSPC.Error() + "\n"
		if status != exitFailed || !strings.HasSuffix(errs.String(), want) || strings.Count(errs.String(), syscall.ENOSPC.Error()) != 1 || in.read > 1<<18 {
			t.Errorf("%v: exit status %d after %d bytes, %s", c.args, status, in.read, &errs)
		}
	}
	var errs bytes.Buffer
	out := filepath.Join(t.TempDir(), "out")
	status := run([]string{"finetune", "-model", model, "-task", "classify", "-train", labelled, "-epochs", "1", "-out", out}, nil, brokenOutput{syscall.EPIPE}, &errs)
	if status != exitDone || strings.Contains(errs.String(), "pipe") {
		t.Errorf("exit status %d, %s", status, &errs)
	}
}

// What kind of file it is its name tells, in capitals too, and compressed; and a file that is
// not what its name tells is named.
func TestKindsOfFiles(t *testing.T) {
	for name, want := range map[string]string{"a.CSV": "csv", "a.csv.gz": "csv", "A.CSV.GZ": "csv", "a.JSONL.gz": "json", "a.NDJson": "json", "a.TSV": "", "a.TSV.GZ": "", "csv": ""} {
		equal(t, FormatOf(name), want, name)
	}
	var compressed bytes.Buffer
	w := gzip.NewWriter(&compressed)
	w.Write(corpusText[:5000])
	check(t, w.Close())
	for _, c := range []struct {
		data []byte
		want string
	}{
		{nil, "it is empty"}, {corpusText[:100], "it does not begin as gzip does, want that of a .gz"},
		{compressed.Bytes()[:5], "it ends in the middle"}, {compressed.Bytes()[:500], "it ends in the middle"}, {compressed.Bytes(), ""},
	} {
		name := filepath.Join(t.TempDir(), "text.txt.GZ")
		check(t, os.WriteFile(name, c.data, 0o666))
		err := eachFile(name, nil, func(r io.Reader) error { _, _, err := ReadBlocks(r, func([]Block, int) {}); return err })
		if want := name + ": " + c.want; (err == nil) != (c.want == "") || err != nil && !strings.HasPrefix(readable(err), want) {
			t.Errorf("the error is %v, want %v", readable(err), want)
		}
	}
}

// A slow training's speed is a number, too.
func TestSpeedInProgress(t *testing.T) {
	rate := 1e-4
	for speed, want := range map[float64]string{31.4: "31 tok/s", 358: "358 tok/s", 1990: "2.0k tok/s", 25_100: "25k tok/s"} {
		p := &progress{steps: 10}
		line := p.line(Metrics{Step: 1, Split: "train", LearningRate: &rate, TokensPerSecond: &speed})
		equal(t, strings.HasSuffix(line, "lr 1.0e-04  "+want), true, line)
	}
}
