package main

import (
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// wrap puts the name of the file before an error. The system's errors have a name in
// them already, which is that of a temporary file where one is written: it goes.
func wrap(name string, err error) error {
	switch e := err.(type) {
	case nil:
		return nil
	case *os.PathError:
		err = e.Err
	case *os.LinkError:
		err = e.Err
	}
	return fmt.Errorf("%s: %w", name, err)
}

func ignoreEOF(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

func isFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

func mustNotExist(name string) error {
	if _, err := os.Lstat(name); err == nil {
		return fmt.Errorf("%s exists already, and is not overwritten", name)
	}
	return nil
}

// eachFile calls read for each file of a corpus. An error names the file.
func eachFile(name string, stdin io.Reader, read func(io.Reader) error) error {
	if name == "-" {
		return wrap("standard input", read(stdin))
	}
	return filepath.WalkDir(name, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		if !strings.HasSuffix(path, ".gz") {
			return wrap(path, read(f))
		}
		decompressed, err := gzip.NewReader(f)
		if err != nil {
			return wrap(path, err)
		}
		return wrap(path, read(decompressed))
	})
}

// maxJSON is the most that a file of settings may have.
const maxJSON = 1 << 20

// readSmall reads a file of settings.
func readSmall(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxJSON+1))
	if err == nil && len(data) > maxJSON {
		err = fmt.Errorf("it has more than %d bytes", maxJSON)
	}
	return data, wrap(name, err)
}

// disk is what saving asks of the operating system. Tests put in its place what
// fails, as a full disk does.
var disk = struct {
	create func(dir, pattern string) (*os.File, error) // under a new name
	mkdir  func(name string, mode os.FileMode) error
	write  func(f *os.File, p []byte) (int, error)
	sync   func(f *os.File) error // of a file or a folder to the disk
	rename func(from, to string) error
}{os.CreateTemp, os.Mkdir, (*os.File).Write, (*os.File).Sync, os.Rename}

// diskWriter writes to a file through disk.
type diskWriter struct{ f *os.File }

func (w diskWriter) Write(p []byte) (int, error) { return disk.write(w.f, p) }

// writeFile writes a file as replaceFile does. An error names it.
func writeFile(name string, write func(io.Writer) error) error {
	return wrap(name, replaceFile(name, write))
}

// replaceFile writes a file under a temporary name, flushes it to the disk and
// renames it: whatever happens, name is the old file or the new one, whole.
func replaceFile(name string, write func(io.Writer) error) error {
	f, err := disk.create(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // does nothing after the renaming
	buffered := bufio.NewWriterSize(diskWriter{f}, 1<<16)
	err = write(buffered)
	for _, finish := range []func() error{buffered.Flush, func() error { return f.Chmod(0o644) }, func() error { return disk.sync(f) }} {
		if err == nil {
			err = finish()
		}
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = disk.rename(f.Name(), name)
	}
	return err
}

// syncFolder flushes a folder's list of files to the disk: only then is what was
// renamed in it safe from a loss of power.
func syncFolder(dir string) error {
	if runtime.GOOS == "windows" { // where folders cannot be flushed
		return nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return disk.sync(f)
}

// A savedFile is a file of a folder, and what writes it.
type savedFile struct {
	name  string
	write func(io.Writer) error
}

// saveFiles writes files to the folder dir, one after the other. The folder may get
// another name when all is done; an error names the file as it would be called then.
func saveFiles(dir, inTheEnd string, files []savedFile) error {
	for _, file := range files {
		if err := replaceFile(filepath.Join(dir, file.name), file.write); err != nil {
			return wrap(filepath.Join(inTheEnd, file.name), err)
		}
	}
	return wrap(inTheEnd, syncFolder(dir))
}

func writeJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}

func sumOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// fileSum is the SHA-256 of a file.
func fileSum(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), wrap(name, err)
}
