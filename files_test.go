package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
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
