package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Writing a file that fails leaves the old one, and nothing else.
func TestWriteFileIsAllOrNothing(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	check(t, os.WriteFile(name, []byte("old"), 0o666))
	err := writeFile(name, func(w io.Writer) error {
		fmt.Fprint(w, "half of the ne")
		return os.ErrClosed
	})
	if err == nil || !strings.Contains(err.Error(), name) {
		t.Errorf("the error is %v, want one that names the file", err)
	}
	data, err := os.ReadFile(name)
	check(t, err)
	equal(t, string(data), "old")
	entries, err := os.ReadDir(filepath.Dir(name))
	check(t, err)
	equal(t, len(entries), 1)
}

// Standard input cannot be two texts.
func TestStandardInputTwice(t *testing.T) {
	for _, args := range [][]string{
		{"pretrain", "-corpus", "-", "-corpus", "-", "-out", "x"},
		{"finetune", "-model", "x", "-task", "classify", "-train", "-", "-eval", "-", "-out", "x"},
	} {
		status, _, stderr := runHere("A text.\n", args...)
		if status != exitUsage || !strings.Contains(stderr, "standard input has its text only once") {
			t.Errorf("%v: exit status %d, %s", args, status, stderr)
		}
	}
}

// A file that changes while it is read is never taken for another: a model that is cut is an
// error, and so is a corpus that is not the one that the vocabulary was learnt from.
func TestFilesThatChange(t *testing.T) {
	dir, m := savedModel(t)
	name := filepath.Join(dir, modelFile)
	f, tensors, err := OpenSafetensors(name)
	check(t, err)
	defer f.Close()
	found := make([]*Tensor, len(m.List))
	for i, p := range m.List {
		tensor := tensors[p.Name]
		found[i] = &tensor
	}
	check(t, ReadTensors(m.List, found))
	check(t, os.Truncate(name, 5000))
	err = ReadTensors(m.List, found)
	if err == nil || !strings.Contains(err.Error(), name+": tensor ") || !strings.Contains(err.Error(), "unexpected EOF") {
		t.Errorf("a model is cut, and the error is %v", err)
	}

	corpus := filepath.Join(dir, "corpus.txt")
	c := &call{stderr: io.Discard}
	for _, more := range []int{0, 100, -100} {
		check(t, os.WriteFile(corpus, corpusText[:8000], 0o666))
		counts, err := c.countWords(corpora{corpus}, true)
		check(t, err)
		words, err := TrainVocabulary(counts, 300)
		check(t, err)
		tokenizer, err := NewTokenizer(words, true)
		check(t, err)
		check(t, os.WriteFile(corpus, corpusText[:8000+more], 0o666))
		_, err = c.readTokens(corpora{corpus}, tokenizer)
		want := fmt.Sprintf("has changed while it was read: it had 8000 bytes of text for the vocabulary, then %d", 8000+more)
		if (err != nil) != (more != 0) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%d bytes more, and the error is %v", more, err)
		}
	}
}

// However long a line of metrics.jsonl is, the run goes on, with the lines up to its step and
// without what is none.
func TestLongMetrics(t *testing.T) {
	name := filepath.Join(t.TempDir(), metricsFile)
	long := `{"step":2,"note":"` + strings.Repeat("x", 200_000) + "\"}\n"
	check(t, os.WriteFile(name, []byte("{\"step\":1}\r\n"+long+"no JSON\n{\"step\":3}\n{\"st"), 0o666))
	check(t, KeepMetrics(name, 2))
	data, err := os.ReadFile(name)
	check(t, err)
	equal(t, string(data), "{\"step\":1}\n"+long)
}

// While another program has a file open, Windows lets nobody rename it: the program tries again
// for a while, and only for that reason.
func TestPatiently(t *testing.T) {
	defer func(before bool) { onWindows = before }(onWindows)
	onWindows = true
	tries := 0
	check(t, patiently(func() error {
		if tries++; tries < 3 {
			return &os.LinkError{Op: "rename", Err: syscall.Errno(32)}
		}
		return nil
	}))
	equal(t, tries, 3)
	tries = 0
	if err := patiently(func() error { tries++; return syscall.ENOSPC }); err != syscall.ENOSPC || tries != 1 {
		t.Errorf("%v after %d tries", err, tries)
	}
}
