package main

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The ground: files. What is read may be anything, so that errors name the file and
// memory is bounded; what is written is there as a whole or not at all.

// wrap puts the name of the file before an error. An error of the operating system has
// a name in it already, be it that of a temporary file; that one is dropped.
func wrap(name string, err error) error {
	switch e := err.(type) {
	case nil:
		return nil
	case *os.PathError:
		err = e.Err
	case *os.LinkError:
		err = e.Err
	}
	return fmt.Errorf("%s: %w", inputName(name), err)
}

// inputName is the name of a file in words: - is standard input.
func inputName(name string) string {
	if name == "-" {
		return "standard input"
	}
	return name
}

// decodeJSON reads one value, after which nothing may come.
func decodeJSON(r io.Reader, into any) error {
	decoder := json.NewDecoder(r)
	err := decoder.Decode(into)
	if err == nil {
		err = endOfJSON(decoder)
	}
	return err
}

// endOfJSON returns an error if anything follows.
func endOfJSON(decoder *json.Decoder) error {
	if _, err := decoder.Token(); err != io.EOF {
		return fmt.Errorf("there is more after its end, at byte %d, want nothing there", decoder.InputOffset())
	}
	return nil
}

// ignoreEOF is err, but nil at the end of a file.
func ignoreEOF(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

// noEOF is err, but io.ErrUnexpectedEOF at the end of a file: there should be more.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// exists tells whether there is a file or folder of this name.
func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

const aFile, aFolder = "a file", "a folder"

// kindOf says what there is of this name, or where a link of this name leads; "" is nothing.
func kindOf(name string) string {
	info, err := os.Stat(name)
	if err != nil {
		return ""
	}
	kinds := map[fs.FileMode]string{0: aFile, fs.ModeDir: aFolder, fs.ModeNamedPipe: "a pipe", fs.ModeSocket: "a socket"}
	return cmp.Or(kinds[info.Mode().Type()], "a device")
}

// openFile opens what has to be a file: a pipe may keep us waiting for ever, and a device may
// have no end.
func openFile(name string) (*os.File, error) {
	if kind := kindOf(name); kind != "" && kind != aFile {
		return nil, fmt.Errorf("%s is %s, want a file", name, kind)
	}
	return os.Open(name)
}

// mustNotExist returns an error if there is a file or folder of this name.
func mustNotExist(name string) error {
	if exists(name) {
		return fmt.Errorf("%s exists already, and is not overwritten", name)
	}
	return nil
}

// readFile calls read with the text that is in a file, decompressed where the name ends
// with .gz, or, by the name of -, in standard input. An error names the file.
func readFile(name string, stdin io.Reader, read func(io.Reader) error) error {
	what, in := "standard input", stdin
	if name != "-" {
		if kindOf(name) == aFolder {
			return fmt.Errorf("%s is a folder, want a file", name)
		}
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		what, in = name, f
	}
	if strings.HasSuffix(strings.ToLower(name), ".gz") {
		decompressed, err := gzip.NewReader(in)
		if err != nil {
			return wrap(name, err)
		}
		in = decompressed
	}
	text, err := asUTF8(in)
	if err == nil {
		err = read(text)
	}
	return wrap(what, err)
}

// eachFile calls read for a file as readFile does or, where name is a folder, for each
// file in it and in the folders below but those that are passed over.
func eachFile(name string, stdin io.Reader, read func(io.Reader) error) error {
	return walk(name, func(path string) error { return readFile(path, stdin, read) }, func(string, string) {})
}

// What walk passes over.
const (
	hiddenNames = "files or folders whose names begin with a dot"
	notFiles    = "links to folders or to nothing, pipes, sockets or devices"
)

// walk calls use for each file in a folder and in the folders below, and pass for what it
// passes over, with what that is. Links to folders might lead round in a circle. What is no
// folder is used itself.
func walk(name string, use func(path string) error, pass func(path, what string)) error {
	if name == "-" || kindOf(name) != aFolder {
		return use(name)
	}
	root := name + string(filepath.Separator) // where a link to a folder leads
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil || path == root:
			return err
		case strings.HasPrefix(entry.Name(), "."):
			pass(path, hiddenNames)
			if entry.IsDir() {
				return fs.SkipDir
			}
		case kindOf(path) == aFile:
			return use(path)
		case !entry.IsDir():
			pass(path, notFiles)
		}
		return nil
	})
}

// sizeOf is how many bytes the files of eachFile have.
func sizeOf(name string) (bytes float64) {
	walk(name, func(path string) error {
		if info, err := os.Stat(path); err == nil {
			bytes += float64(info.Size())
		}
		return nil
	}, func(string, string) {})
	return bytes
}

// maxJSON is the most that a file of settings may have.
const maxJSON = 1 << 20

// readSmall reads a file of settings.
func readSmall(name string) ([]byte, error) { return readUpTo(name, maxJSON) }

// readUpTo reads a file that has at most so many bytes.
func readUpTo(name string, most int64) ([]byte, error) {
	f, err := openFile(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var data []byte
	info, err := f.Stat()
	if err == nil && info.Size() > most {
		err = fmt.Errorf("it has %d bytes, want at most %d", info.Size(), most)
	} else if err == nil {
		data = make([]byte, info.Size())
		_, err = io.ReadFull(f, data)
	}
	return data, wrap(name, err)
}

// readJSON reads a file of settings in JSON.
func readJSON(name string, into any) error { return readJSONUpTo(name, maxJSON, into) }

// readJSONUpTo is readJSON for a file that may have so many bytes.
func readJSONUpTo(name string, most int64, into any) error {
	data, err := readUpTo(name, most)
	if err == nil {
		err = wrap(name, cmp.Or(json.Unmarshal(data, into), checkNames(data, reflect.TypeOf(into).Elem())))
	}
	return err
}

// checkNames returns an error if an object has a name that is another but for its case: Go takes
// it for the same, and others pass it over.
func checkNames(data []byte, of reflect.Type) error {
	var fields map[string]json.RawMessage
	if of.Kind() != reflect.Struct || json.Unmarshal(data, &fields) != nil {
		return nil
	}
	for _, field := range reflect.VisibleFields(of) {
		known, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		for name := range fields {
			if name != known && strings.EqualFold(name, known) {
				return fmt.Errorf("there is a %q, want %q or another name", name, known)
			}
		}
		if err := checkNames(fields[known], field.Type); err != nil {
			return fmt.Errorf("%s: %w", known, err)
		}
	}
	return nil
}

// readJSONIfAny is readJSON for a file that may be missing, which changes nothing.
func readJSONIfAny(name string, into any) error {
	err := readJSON(name, into)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// disk is what saving asks of the operating system. Tests put in its place what
// fails, as a full disk does.
var disk = struct {
	create func(dir, pattern string) (*os.File, error) // under a new name
	mkdir  func(name string, mode os.FileMode) error
	write  func(f *os.File, p []byte) (int, error)
	sync   func(f *os.File) error // of a file or a folder to the disk
	rename func(from, to string) error
}{createTemp, os.Mkdir, (*os.File).Write, (*os.File).Sync, rename}

// patiently does something to a file again and again, for two seconds, while Windows says that
// another program has it open, as one that looks for viruses has what is new for a moment.
func patiently(do func() error) (err error) {
	const accessDenied, sharingViolation = syscall.Errno(5), syscall.Errno(32)
	for begun := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		err = do()
		busy := errors.Is(err, accessDenied) || errors.Is(err, sharingViolation)
		if !onWindows || !busy || time.Since(begun) > 2*time.Second {
			return err
		}
	}
}

var onWindows = runtime.GOOS == "windows"

// rename is os.Rename, patiently.
func rename(from, to string) error {
	return patiently(func() error { return os.Rename(from, to) })
}

// removeAll is os.RemoveAll, patiently.
func removeAll(name string) error {
	return patiently(func() error { return os.RemoveAll(name) })
}

// createTemp is os.CreateTemp, but for who may read the file: that is for the umask to say, as
// of any file that is made.
func createTemp(dir, pattern string) (*os.File, error) {
	name := strings.Replace(pattern, "*", fmt.Sprint(rand.Int32()), 1)
	return os.OpenFile(filepath.Join(dir, name), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
}

// diskWriter writes to a file through disk.
type diskWriter struct{ f *os.File }

func (w diskWriter) Write(p []byte) (int, error) { return disk.write(w.f, p) }

// appendJSON writes v as a line at the end of an open file.
func appendJSON(f *os.File, v any) error {
	return wrap(f.Name(), json.NewEncoder(diskWriter{f}).Encode(v))
}

// writeFile writes a file as replaceFile does. An error names it.
func writeFile(name string, write func(io.Writer) error) error {
	return wrap(name, replaceFile(name, write))
}

// replaceFile writes a file under a temporary name, flushes it to the disk and
// renames it: whatever happens, name is the old file or the new one, whole.
func replaceFile(name string, write func(io.Writer) error) error {
	removeLeft(name)
	f, err := disk.create(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // does nothing after the renaming
	lock(f)
	buffered := bufio.NewWriterSize(diskWriter{f}, 1<<16)
	err = cmp.Or(write(buffered), buffered.Flush(), disk.sync(f), f.Close())
	if err == nil {
		err = disk.rename(f.Name(), name)
	}
	return err
}

// lock locks an open file for this process, however that ends, unless another has it. Where
// there are no such locks (Linux, macOS, the BSDs and Windows have them) none has.
var lock = func(*os.File) bool { return true }

// removeLeft removes what runs that were killed have left of their attempts to write a file.
func removeLeft(name string) {
	dir, base := filepath.Split(name)
	entries, _ := os.ReadDir(filepath.Clean(dir))
	for _, e := range entries {
		digits, ok := strings.CutPrefix(e.Name(), "."+base+".")
		if _, err := strconv.Atoi(digits); !ok || err != nil || !e.Type().IsRegular() {
			continue
		}
		if f, err := os.Open(dir + e.Name()); err == nil {
			left := lock(f)
			if f.Close(); left {
				os.Remove(f.Name())
			}
		}
	}
}

// syncFolder flushes a folder's list of files to the disk: only then is what was
// renamed in it safe from a loss of power. Windows flushes no folders: there a renaming may be
// lost, and what was there before is back, whole.
func syncFolder(dir string) error {
	if onWindows {
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

// saveFiles writes files to the folder dir, one after the other. finalDir is what the
// folder will be called when all is done; an error names the file by that.
func saveFiles(dir, finalDir string, files []savedFile) error {
	for _, file := range files {
		if err := replaceFile(filepath.Join(dir, file.name), file.write); err != nil {
			return wrap(filepath.Join(finalDir, file.name), err)
		}
	}
	return wrap(finalDir, syncFolder(dir))
}

// writeJSON writes v as JSON for people to read.
func writeJSON(w io.Writer, v any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(v)
}

// sumOf is the SHA-256 of data, in hexadecimal digits.
func sumOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// fileSum is that of a file.
func fileSum(name string) (string, error) {
	f, err := openFile(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), wrap(name, err)
}
