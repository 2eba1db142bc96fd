package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Before training the text is looked at, and what is wrong is said in words.
func TestDoctor(t *testing.T) {
	dir := t.TempDir()
	smallRun(t, dir)
	corpus := filepath.Join(dir, "corpus.txt")
	sound, err := os.ReadFile(corpus)
	check(t, err)
	for _, c := range []struct{ text, want, flags string }{
		{string(sound), "", ""},
		{strings.ReplaceAll(string(sound), "\n", "\n\n"), "every document is a single sentence", ""},
		{strings.Join(strings.SplitAfter(string(sound), "\n\n")[:12], ""), "fewer than 20 documents", ""},
		{string(sound) + strings.ReplaceAll(strings.ReplaceAll(string(sound), "\n\n", "\n"), "\n", "\n\n"), "of the pairs B follows A, want half", ""},
		{strings.Map(func(r rune) rune { return map[bool]rune{true: r, false: 'x'}[r <= ' ' || r == '.'] }, string(sound)), "are [UNK]: the vocabulary does not fit", ""},
		{string(sound), "of the tokens do not fit: are the sentences longer", "-max-seq=8"},
	} {
		check(t, os.WriteFile(corpus, []byte(c.text), 0o666))
		args := smallRun(t, dir, "-out", filepath.Join(t.TempDir(), "out"), "-max-seq", "64", "-positions", "64", "-steps", "1", "-batch", "1")
		for i, arg := range args {
			if arg == "-vocab" && !strings.Contains(c.want, "[UNK]") {
				args[i], args[i+1] = "-vocab-size", "200" // learnt
			}
		}
		if c.flags != "" {
			args = append(args, c.flags)
		}
		status, _, stderr := runHere("", args...)
		warnings := strings.Count(stderr, "warning:") - strings.Count(stderr, "warning: the MLM loss") - strings.Count(stderr, "warning: next sentence prediction gives")
		if status != exitDone || !strings.Contains(stderr, "text: ") || !strings.Contains(stderr, "pairs: ") || !strings.Contains(stderr, c.want) || c.want == "" && warnings > 0 {
			t.Errorf("want %q: exit status %d, %s", c.want, status, stderr)
		}
	}
}
