package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf16"
)

// inUTF16 is a text in UTF-16 with its mark.
func inUTF16(text string, littleEndian bool) (data []byte) {
	for _, unit := range utf16.Encode([]rune("\ufeff" + text)) {
		if littleEndian {
			data = append(data, byte(unit), byte(unit>>8))
		} else {
			data = append(data, byte(unit>>8), byte(unit))
		}
	}
	return data
}

// UTF-16 with its mark is read as UTF-8 is, and what is no text is refused by what it is,
// however few bytes come at a time.
func TestEncodings(t *testing.T) {
	const text = "a fish, \u00e9, \u4e2d, \U0001f41f.\n"
	for _, c := range []struct {
		data       []byte
		want, fail string
	}{
		{[]byte(text), text, ""},
		{[]byte("\ufeff" + text), text, ""},
		{inUTF16(text, true), text, ""},
		{inUTF16(text, false), text, ""},
		{append(inUTF16("", true), 0x00, 0xd8, 'a', 0), "\ufffda", ""}, // half of a pair
		{append(inUTF16("a", true), 0x00), "a", "odd number of bytes"},
		{nil, "", ""},
		{[]byte("B"), "B", ""},
		{[]byte("\xff\xfe\x00\x00a\x00\x00\x00"), "", "UTF-32"},
		{[]byte("\xfd7zXZ\x00\x00"), "", "compressed with xz"},
		{[]byte("BZh91AY"), "", "bzip2"},
		{[]byte("\x1f\x8b\x08\x00"), "", "compressed with gzip: call it .gz"},
		{[]byte("\x28\xb5\x2f\xfd\x04"), "", "zstd"},
		{[]byte("PK\x03\x04\x14"), "", "a zip archive"},
		{[]byte("%PDF-1.7\n"), "", "PDF"},
		{[]byte("a\x00f\x00"), "", "it has zero bytes"},
		{[]byte("\ufeffa\x00f\x00"), "", "it has zero bytes"},
	} {
		readers := []io.Reader{bytes.NewReader(c.data)}
		if c.fail == "" || c.fail == "UTF-32" {
			readers = append(readers, iotest.OneByteReader(bytes.NewReader(c.data)))
		}
		for _, r := range readers {
			r, err := asUTF8(r)
			var got []byte
			if err == nil {
				got, err = io.ReadAll(r)
			}
			if string(got) != c.want || c.fail == "" && err != nil || c.fail != "" && !strings.Contains(fmt.Sprint(err), c.fail) {
				t.Errorf("%q is read as %q, %v, want %q, %s", c.data, got, err, c.want, c.fail)
			}
		}
	}
}

// Every command that reads text reads it so, and a folder's hidden files are passed over.
func TestTextOfCommands(t *testing.T) {
	folder, _ := trained(t)
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		name = filepath.Join(dir, name)
		check(t, os.MkdirAll(filepath.Dir(name), 0o777))
		check(t, os.WriteFile(name, data, 0o666))
		return name
	}
	const text = "Nora bakes bread. The bread is warm.\n"
	plain, wide := write("plain/a.txt", []byte(text)), write("wide/a.txt", inUTF16(text, true))
	write("wide/.DS_Store", []byte("\x00\x01"))
	write("wide/.git/x", []byte("\x00\x01"))
	vocabulary := func(corpus string) (string, string) {
		out := filepath.Join(t.TempDir(), "v")
		status, _, stderr := runHere("", "vocab", "-corpus", corpus, "-min-frequency", "1", "-out", out)
		words, _ := os.ReadFile(out)
		equal(t, status, exitDone, stderr)
		return string(words), stderr
	}
	want, _ := vocabulary(filepath.Dir(plain))
	got, note := vocabulary(filepath.Dir(wide))
	equal(t, got, want)
	equal(t, strings.Contains(note, "2 files or folders whose names begin with a dot are passed over"), true, note)
	for _, args := range [][]string{{"tokenize", "-model", folder}, {"embed", "-model", folder}} {
		_, want, _ := runHere(text, args...)
		status, stdout, stderr := runHere(string(inUTF16(text, false)), args...)
		equal(t, status, exitDone, stderr)
		equal(t, stdout, want)
		status, _, stderr = runHere("BZh91AY", args...)
		equal(t, status, exitFailed)
		equal(t, strings.Contains(stderr, "standard input: it is not text but compressed with bzip2"), true, stderr)
	}
}
