package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// runHere runs the program in this process.
func runHere(stdin string, args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	status = run(args, strings.NewReader(stdin), &out, &errs)
	return status, out.String(), errs.String()
}

// trained is a model folder that pretrain has written, after a few steps on the
// beginning of the built-in corpus.
func trained(t *testing.T) (model, corpus string) {
	t.Helper()
	dir := t.TempDir()
	model, corpus = filepath.Join(dir, "model"), filepath.Join(dir, "corpus.txt")
	check(t, os.WriteFile(corpus, corpusText[:20000], 0o666))
	status, stdout, stderr := runHere("", "pretrain", "-corpus", corpus, "-out", model, "-vocab-size", "400", "-hidden", "32", "-layers", "1",
		"-positions", "64", "-batch", "4", "-max-seq", "48", "-steps", "10", "-log-every", "5", "-initializer-range", "0.06")
	if status != exitDone || stdout != "" {
		t.Fatalf("pretrain: exit status %d, output %q, %s", status, stdout, stderr)
	}
	return model, corpus
}

// Each command does what it says, for text and for programs.
func TestCommands(t *testing.T) {
	model, corpus := trained(t)
	dir := t.TempDir()
	result := func(stdin string, args ...string) string {
		t.Helper()
		status, stdout, stderr := runHere(stdin, args...)
		if status != exitDone {
			t.Fatalf("%v: exit status %d: %s", args, status, stderr)
		}
		return stdout
	}
	object := func(args ...string) (fields map[string]any) {
		t.Helper()
		check(t, json.Unmarshal([]byte(result("", args...)), &fields))
		return fields
	}

	equal(t, result("The bread.\n\nThe [MASK]", "tokenize", "-model", model), "the bread .\n\nthe [MASK]\n")
	ids := result("The bread.\n", "tokenize", "-model", model, "-ids")
	equal(t, len(strings.Fields(ids)), 3)

	vocabulary := filepath.Join(dir, "vocab.txt")
	result("", "vocab", "-corpus", corpus, "-size", "400", "-out", vocabulary)
	equal(t, result("The bread.\n", "tokenize", "-vocab", vocabulary, "-ids"), ids)

	list := result("", "examples", "-corpus", corpus, "-model", model, "-max-seq", "48")
	file := filepath.Join(dir, "examples.jsonl")
	check(t, os.WriteFile(file, []byte(list), 0o666))
	fields := object("eval", "-model", model, "-examples", file, "-json")
	equal(t, fields["examples"], float64(strings.Count(list, "\n")))
	fields = object("eval", "-model", model, "-corpus", corpus, "-max-seq", "48", "-json")
	if loss := fields["mlm_loss"].(float64); !(loss > 1 && loss < 7) {
		t.Errorf("the MLM loss is %v", loss)
	}
	if text := result("", "eval", "-model", model, "-corpus", corpus, "-max-seq", "48"); strings.Count(text, "\n") != 5 {
		t.Errorf("eval writes %q", text)
	}

	if text := result("", "fill", "-model", model, "The [MASK] is in the [MASK]."); strings.Count(text, "%") != 10 || strings.Count(text, "\n") != 11 {
		t.Errorf("fill writes %q", text)
	}
	fields = object("fill", "-model", model, "-json", "-best", "3", "The [MASK] is in the [MASK].")
	equal(t, len(fields["masks"].([]any)), 2)
	equal(t, len(fields["masks"].([]any)[1].(map[string]any)["best"].([]any)), 3)
	fields = object("next", "-model", model, "-json", "Nora bakes.", "The bread is warm.")
	if p := fields["is_next"].(float64) + fields["not_next"].(float64); p < 0.999 || p > 1.001 {
		t.Errorf("the probabilities add up to %v", p)
	}
	if text := result("", "next", "-model", model, "Nora bakes.", "The bread is warm."); !strings.Contains(text, "Next") {
		t.Errorf("next writes %q", text)
	}

	for _, from := range [][]string{{"-init", model}, {"-vocab", vocabulary, "-hidden", "32", "-layers", "1"}} {
		out := filepath.Join(dir, from[0])
		args := append([]string{"pretrain", "-examples", file, "-out", out, "-batch", "2", "-steps", "3", "-dropout", "0"}, from...)
		result("", args...)
		data, err := os.ReadFile(filepath.Join(out, "metrics.jsonl"))
		check(t, err)
		var r Metrics
		check(t, json.Unmarshal(data, &r))
		if r.Step != 3 || r.Split != "train" || r.Tokens == 0 || r.MLMLoss == 0 || r.LearningRate == nil || r.GradientNorm == nil || r.TokensPerSecond == nil {
			t.Errorf("metrics.jsonl has %s", data)
		}
		status, _, stderr := runHere("", append(args, "-resume")...)
		equal(t, status, exitDone, stderr)
		equal(t, strings.Contains(stderr, "-init is not read again: the model is that of "+out), from[0] == "-init", stderr)
	}
	for _, c := range commands() {
		if help := result("", c.name, "-h"); !strings.Contains(help, c.usage) {
			t.Errorf("%s -h writes %q", c.name, help)
		}
	}
	if help := result("", "-h"); !strings.Contains(help, "pretrain") {
		t.Errorf("-h writes %q", help)
	}
}

// What cannot be done is said in one line that names what is wrong, with exit
// status 1, or 2 where the command itself is wrong.
func TestErrors(t *testing.T) {
	model, corpus := trained(t)
	dir := t.TempDir()
	write := func(name, text string) string {
		name = filepath.Join(dir, name)
		check(t, os.WriteFile(name, []byte(text), 0o666))
		return name
	}
	empty, blank := write("empty.txt", ""), write("blank.txt", " \n\n")
	one, two := write("one.txt", "One here.\nTwo here.\n"), write("two.txt", "One here.\n\nTwo here.\n")
	noMask := write("nomask.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n")
	bad := write("bad.jsonl", "{\"input_ids\":[1],\"next_sentence_label\":0}\n")
	out := filepath.Join(dir, "out")

	for _, c := range []struct {
		status int
		want   string
		args   []string
	}{
		{exitFailed, "missing.txt: no such file", []string{"pretrain", "-corpus", "missing.txt", "-out", out}},
		{exitFailed, "no word", []string{"pretrain", "-corpus", empty, "-out", out}},
		{exitFailed, "no word", []string{"pretrain", "-corpus", blank, "-out", out}},
		{exitFailed, "there is no text in it", []string{"pretrain", "-corpus", empty, "-out", out, "-init", model, "-max-seq", "48"}},
		{exitFailed, "single document", []string{"pretrain", "-corpus", one, "-out", out, "-vocab-size", "100"}},
		{exitFailed, "fewer than -batch, 32", []string{"pretrain", "-corpus", two, "-out", out, "-vocab-size", "100"}},
		{exitFailed, "a vocabulary of 10 words is too small", []string{"pretrain", "-corpus", corpus, "-out", out, "-vocab-size", "10"}},
		{exitFailed, noMask + ": [MASK] is missing", []string{"pretrain", "-corpus", corpus, "-out", out, "-vocab", noMask}},
		{exitFailed, "exists already", []string{"pretrain", "-corpus", corpus, "-out", model}},
		{exitFailed, "bad.jsonl: example 1: token_type_ids has 0 numbers", []string{"pretrain", "-examples", bad, "-init", model, "-out", out}},
		{exitUsage, "-steps is 0", []string{"pretrain", "-corpus", corpus, "-out", out, "-steps", "0"}},
		{exitUsage, "-out is missing", []string{"pretrain", "-corpus", corpus}},
		{exitUsage, "-plan is about a whole training", []string{"pretrain", "-corpus", corpus, "-plan", "-resume"}},
		{exitUsage, "either -corpus or -examples", []string{"pretrain", "-out", out}},
		{exitUsage, "-size is \"huge\"", []string{"pretrain", "-corpus", corpus, "-out", out, "-size", "huge"}},
		{exitUsage, "-hidden 128 is not a multiple of -heads 3", []string{"pretrain", "-corpus", corpus, "-out", out, "-heads", "3"}},
		{exitUsage, "-hidden is -8, want 1 to", []string{"pretrain", "-corpus", corpus, "-out", out, "-hidden", "-8"}},
		{exitUsage, "-layers is -1, want 1 to", []string{"pretrain", "-corpus", corpus, "-out", out, "-layers", "-1"}},
		{exitUsage, "-intermediate is -1, want 1 to", []string{"pretrain", "-corpus", corpus, "-out", out, "-intermediate", "-1"}},
		{exitUsage, "-positions is 2000000, want 1 to", []string{"pretrain", "-corpus", corpus, "-out", out, "-positions", "2000000"}},
		{exitUsage, "-vocab-size is 200000000, want 1 to", []string{"pretrain", "-corpus", corpus, "-out", out, "-vocab-size", "200000000"}},
		{exitUsage, "-dropout is 1, want at least 0 and below 1", []string{"pretrain", "-corpus", corpus, "-out", out, "-dropout", "1"}},
		{exitUsage, "for flag -dropout: want a number", []string{"pretrain", "-corpus", corpus, "-out", out, "-init", model, "-dropout", "NaN"}},
		{exitUsage, "for flag -initializer-range: want a number", []string{"pretrain", "-corpus", corpus, "-out", out, "-initializer-range", "NaN"}},
		{exitFailed, "take a smaller model (-size, -layers", []string{"pretrain", "-corpus", corpus, "-out", out, "-vocab", filepath.Join(model, vocabFile), "-hidden", "65536", "-layers", "1024"}},
		{exitUsage, "-warmup is -5, want 0 to -steps, 2000, or -1 for a tenth", []string{"pretrain", "-corpus", corpus, "-out", out, "-warmup", "-5"}},
		{exitUsage, "for flag -short-seq-prob: want a number", []string{"pretrain", "-corpus", corpus, "-out", out, "-short-seq-prob", "NaN"}},
		{exitUsage, "-short-seq-prob is -0.5, want 0 to 1", []string{"examples", "-corpus", corpus, "-model", model, "-short-seq-prob", "-0.5"}},
		{exitUsage, "-size is 0, want 1 to 1048576", []string{"vocab", "-corpus", corpus, "-out", out, "-size", "0"}},
		{exitUsage, "-best is 0, want 1 or more", []string{"fill", "-model", model, "-best", "0", "The [MASK]."}},
		{exitUsage, "-best is -3, want 1 or more", []string{"fill", "-model", model, "-best", "-3", "The [MASK]."}},
		{exitUsage, "-max-seq is 65, want 5 to the model's 64 positions", []string{"pretrain", "-corpus", corpus, "-out", out, "-init", model, "-max-seq", "65"}},
		{exitUsage, "invalid value \"x\" for flag -steps", []string{"pretrain", "-steps", "x"}},
		{exitUsage, "flag provided but not defined: -nope", []string{"eval", "-nope"}},
		{exitUsage, "no command \"train\"", []string{"train"}},
		{exitFailed, "no [MASK]", []string{"fill", "-model", model, "The bread."}},
		{exitFailed, "config.json: no such file", []string{"fill", "-model", dir, "The [MASK]."}},
		{exitUsage, "2 arguments, want at most 1", []string{"fill", "-model", model, "The [MASK].", "The [MASK]."}},
		{exitFailed, "neither of them empty", []string{"next", "-model", model, "The bread.", " "}},
		{exitUsage, "either -model or -vocab", []string{"tokenize"}},
		{exitFailed, "exists already", []string{"vocab", "-corpus", corpus, "-out", empty}},
	} {
		status, stdout, stderr := runHere("", c.args...)
		stderr = strings.TrimPrefix(stderr, "trained a vocabulary of 21 words\n")
		if status != c.status || !strings.Contains(stderr, c.want) || strings.Count(stderr, "\n") != 1 || stdout != "" {
			t.Errorf("%v: exit status %d, output %q, error %q; want %d and one line with %q", c.args, status, stdout, stderr, c.status, c.want)
		}
	}
	if _, err := os.Stat(out); err == nil {
		t.Errorf("a command that failed has left %s", out)
	}
}

// What was cut off or misread is said, and the rest is done.
func TestNotes(t *testing.T) {
	model, corpus := trained(t)
	status, stdout, stderr := runHere("", "fill", "-model", model, "The [MASK] "+strings.Repeat("bread ", 70))
	if status != exitDone || strings.Count(stdout, "%") != 5 || !strings.Contains(stderr, "74 tokens, the model 64 positions: 10 tokens were cut off") {
		t.Errorf("fill: exit status %d, %q, %q", status, stdout, stderr)
	}
	for _, text := range []string{strings.Repeat("bread ", 70) + "[MASK]", "The bread.\t" + strings.Repeat("bread ", 70) + "[MASK]"} {
		status, stdout, stderr = runHere("", "fill", "-model", model, text)
		if status != exitFailed || stdout != "" || !strings.Contains(stderr, "tokens were cut off\nfill: the [MASK] was cut off") {
			t.Errorf("fill: exit status %d, %q, %q", status, stdout, stderr)
		}
	}
	status, stdout, stderr = runHere("", "next", "-model", model, strings.Repeat("bread ", 70), "The bread.")
	if status != exitDone || !strings.Contains(stdout, "Next") || !strings.Contains(stderr, "12 tokens were cut off") {
		t.Errorf("next: exit status %d, %q, %q", status, stdout, stderr)
	}
	text, err := os.ReadFile(corpus)
	check(t, err)
	status, stdout, stderr = runHere(string(text)+"Caf\xe9.\n", "examples", "-corpus", "-", "-model", model)
	if status != exitDone || strings.Count(stdout, "\n") < 20 || !strings.Contains(stderr, "1 bytes are not UTF-8") {
		t.Errorf("examples: exit status %d, %q", status, stderr)
	}
}

// The README shows what the demo says: as far as that is known before it has trained,
// the very lines.
func TestREADMEShowsTheDemo(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	check(t, err)
	var out strings.Builder
	s, err := newStory(&out)
	check(t, err)
	s.tellTokens()
	s.tellEmbeddings()
	s.tellAttention()
	s.tellModel()
	narrow(t, out.String())
	for line := range strings.Lines(out.String()) {
		if line != "\n" && !strings.Contains(string(readme), "\n    "+line) {
			t.Errorf("README.md has not the line %q", line)
		}
	}
	if want := fmt.Sprintf("%d steps", s.trainer.Settings.Steps); !strings.Contains(string(readme), want) {
		t.Errorf("README.md has not %q", want)
	}
}
