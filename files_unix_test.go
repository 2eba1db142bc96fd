//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// runSoon is runHere, but a test that fails if it does not come to an end.
func runSoon(t *testing.T, stdin string, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	done := make(chan bool)
	go func() {
		status, stdout, stderr = runHere(stdin, args...)
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatalf("%v waits for ever", args)
	}
	return status, stdout, stderr
}

// makePipe makes a named pipe that nobody writes to.
func makePipe(t *testing.T, name string) string {
	t.Helper()
	check(t, syscall.Mkfifo(name, 0o666))
	return name
}

// A pipe, a device or a folder where a file of a model should be is refused by its name, and
// nothing waits for it or reads it without an end.
func TestNoFiles(t *testing.T) {
	for _, file := range []string{configFile, vocabFile, modelFile, tokenizerFile, tokenizerConfigFile, "added_tokens.json"} {
		for kind, put := range map[string]func(name string){
			"a pipe":   func(name string) { makePipe(t, name) },
			"a device": func(name string) { check(t, os.Symlink("/dev/zero", name)) },
			"a folder": func(name string) { check(t, os.Mkdir(name, 0o777)) },
		} {
			dir, _ := savedModel(t)
			name := filepath.Join(dir, file)
			os.Remove(name)
			put(name)
			status, _, stderr := runSoon(t, "", "fill", "-model", dir, "[MASK]")
			equal(t, status, exitFailed)
			equal(t, stderr, fmt.Sprintf("fill: %s is %s, want a file\n", name, kind))
		}
	}
	for _, file := range []string{metricsFile, pastRunFile} {
		dir, _ := savedModel(t)
		name := makePipe(t, filepath.Join(dir, file))
		status, _, stderr := runSoon(t, "", "report", "-model", dir)
		equal(t, status, exitFailed)
		equal(t, stderr, fmt.Sprintf("report: %s is a pipe, want a file\n", name))
	}
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	for _, file := range append([]string{trainingFile, metricsFile}, checkpointFiles...) {
		check(t, os.RemoveAll(out))
		status, _, stderr := runHere("", smallRun(t, dir, "-out", out, "-steps", "2")...)
		equal(t, status, exitDone, stderr)
		name := filepath.Join(out, "checkpoint-2-finished", file)
		if file == metricsFile {
			name = filepath.Join(out, file)
		}
		check(t, os.Remove(name))
		makePipe(t, name)
		status, _, stderr = runSoon(t, "", smallRun(t, dir, "-out", out, "-steps", "2", "-resume")...)
		if status != exitFailed || !strings.Contains(stderr, name+" is a pipe, want a file\n") {
			t.Errorf("%s: exit status %d, %s", file, status, stderr)
		}
	}
}

// In the folder of a corpus links to files are followed, and what is no file is passed over,
// which is said; the folder itself may be a link.
func TestFolderWithNoFiles(t *testing.T) {
	dir := t.TempDir()
	folder, elsewhere := filepath.Join(dir, "folder"), filepath.Join(dir, "elsewhere.txt")
	check(t, os.MkdirAll(filepath.Join(folder, "below"), 0o777))
	check(t, os.WriteFile(elsewhere, []byte("Nora bakes bread.\n"), 0o666))
	for _, link := range [][2]string{{elsewhere, "below/a.txt"}, {"..", "below/up"}, {"nowhere", "broken"}, {"/dev/zero", "zero"}, {folder, "../link"}} {
		check(t, os.Symlink(link[0], filepath.Join(folder, link[1])))
	}
	makePipe(t, filepath.Join(folder, "pipe"))
	for _, name := range []string{folder, filepath.Join(dir, "link")} {
		words := func(corpus string) (string, string) {
			out := filepath.Join(t.TempDir(), "vocab.txt")
			status, _, stderr := runSoon(t, "", "vocab", "-corpus", corpus, "-min-frequency", "1", "-out", out)
			text, _ := os.ReadFile(out)
			equal(t, status, exitDone, stderr)
			return string(text), stderr
		}
		got, note := words(name)
		want, _ := words(elsewhere)
		equal(t, got, want)
		equal(t, note, name+": 4 links to folders or to nothing, pipes, sockets or devices are passed over, "+filepath.Join(name, "below/up")+" first\n")
	}
}

// A pipe is as good as a file for a text that is read once; where it would be read twice,
// it is refused.
func TestPipesAsText(t *testing.T) {
	dir := t.TempDir()
	pipe, out := makePipe(t, filepath.Join(dir, "pipe")), filepath.Join(dir, "out")
	args := smallRun(t, dir, "-out", out, "-steps", "2")
	corpus := args[2]
	args[2] = pipe
	go os.WriteFile(pipe, corpusText[:8000], 0)
	status, _, stderr := runSoon(t, "", args...)
	equal(t, status, exitDone, stderr)
	sum := modelSum(t, out)
	check(t, os.RemoveAll(out))
	args[2] = corpus
	runHere("", args...)
	equal(t, modelSum(t, out), sum)

	_, _, stderr = runSoon(t, "", "pretrain", "-corpus", pipe, "-out", filepath.Join(dir, "new"))
	equal(t, stderr, "pretrain: "+pipe+" is a pipe, and without -vocab a corpus is read twice: give -vocab, a file, or - for standard input\n")
}

// Whatever writes a file, who may read it is for the umask to say.
func TestUmask(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	for _, umask := range []int{0o077, 0o027, 0o002} {
		syscall.Umask(0o022)
		dir := t.TempDir()
		args := smallRun(t, dir, "-out", filepath.Join(dir, "out"), "-steps", "2")
		syscall.Umask(umask)
		status, _, stderr := runHere("", args...)
		equal(t, status, exitDone, stderr)
		files := 0
		check(t, filepath.WalkDir(filepath.Join(dir, "out"), func(path string, entry os.DirEntry, err error) error {
			check(t, err)
			info, err := entry.Info()
			check(t, err)
			if files++; entry.IsDir() {
				equal(t, info.Mode().Perm(), os.FileMode(0o777&^umask), path)
			} else {
				equal(t, info.Mode().Perm(), os.FileMode(0o666&^umask), path)
			}
			return nil
		}))
		if files < 10 {
			t.Errorf("there are %d files", files)
		}
	}
}
