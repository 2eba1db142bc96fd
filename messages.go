package main

import (
	"compress/flate"
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strings"
	"syscall"
)

// The ground: what went wrong, in words that need no Go and are the same on all systems.

// readable is an error in one line, and in words that need no Go: what the packages that read
// JSON, gzip and lines say becomes what was found, where, and what was wanted.
func readable(err error) string {
	var kind *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	var corrupt flate.CorruptInputError
	var none *json.UnsupportedValueError
	var row *csv.ParseError
	var path *os.PathError
	var system syscall.Errno
	said, words := "", ""
	switch {
	case errors.Is(err, io.EOF):
		said, words = io.EOF.Error(), "it is empty"
	case errors.Is(err, io.ErrUnexpectedEOF):
		said, words = io.ErrUnexpectedEOF.Error(), "it ends in the middle, want all of it: it was cut short"
	case errors.Is(err, gzip.ErrHeader):
		said, words = gzip.ErrHeader.Error(), "it does not begin as gzip does, want that of a .gz"
	case errors.Is(err, gzip.ErrChecksum):
		said, words = gzip.ErrChecksum.Error(), "it is damaged: its checksum is not the one that gzip has noted"
	case errors.As(err, &kind):
		said, words = kind.Error(), otherType(kind)
	case errors.As(err, &syntax) && strings.HasPrefix(syntax.Error(), "unexpected end"):
		said, words = syntax.Error(), fmt.Sprintf("it ends at byte %d, want whole JSON", syntax.Offset)
	case errors.As(err, &syntax):
		said, words = syntax.Error(), fmt.Sprintf("at byte %d it is not JSON: %s", syntax.Offset, jsonInWords.Replace(syntax.Error()))
	case errors.As(err, &none): // in what is written
		said, words = none.Error(), fmt.Sprintf("the numbers of the model (-model) overflow: a result is %s, want a number", none.Str)
	case errors.As(err, &row):
		said, words = row.Error(), fmt.Sprintf("line %d: %v, want quotes around a field, and those in it doubled", row.Line, row.Err)
	case errors.As(err, &path) && path.Op == "read": // what is read is named already
		said, words = path.Error(), path.Err.Error()
	case errors.As(err, &path):
		said, words = path.Error(), path.Path+": "+path.Err.Error()
	case errors.As(err, &corrupt):
		said, words = corrupt.Error(), fmt.Sprintf("it is damaged: from byte %d on it is not as gzip compresses", int64(corrupt))
	}
	text := err.Error()
	if at := strings.LastIndex(text, said); at >= 0 && said != "" {
		text = text[:at] + words + text[at+len(said):]
	}
	if errors.Is(err, fs.ErrNotExist) && errors.As(err, &system) {
		text = strings.Replace(text, system.Error(), "no such file or directory", 1)
	}
	if strings.HasSuffix(text, "is a directory") {
		text += ", want a file"
	} else if strings.HasSuffix(text, "not a directory") {
		text += ", want a folder"
	}
	return strings.ReplaceAll(text, "\n", "; ")
}

// otherType says what was found in JSON, where, and what was wanted.
func otherType(err *json.UnmarshalTypeError) string {
	names, place := strings.Split(err.Field, "."), ""
	if err.Offset > 1 { // of the whole, of which it is the first byte
		place = fmt.Sprint(" at byte ", err.Offset)
	}
	names = slices.DeleteFunc(names, func(name string) bool { return name == "" || len(names) > 1 && name[0] < 'a' }) // "" or Go's
	words := strings.Replace("found "+err.Value, "array", "list", 1) + place + ", want " + wantedOf[err.Type.Kind()]
	if len(names) > 0 {
		words = strings.Join(names, ".") + ": " + words
	}
	return words
}

// jsonInWords says what encoding/json has against a character.
var jsonInWords = strings.NewReplacer(
	"invalid character", "found", " looking for beginning of value", ", want a value",
	" looking for beginning of object key string", ", want a name in quotes",
	" after top-level value", " after its end, want nothing there", " exceeded max depth", ", too deeply nested",
)

// wantedOf says what a value in JSON has to be to become one of a type.
var wantedOf = map[reflect.Kind]string{
	reflect.String: "a text", reflect.Bool: "true or false",
	reflect.Slice: "a list", reflect.Array: "a list", reflect.Map: "an object", reflect.Struct: "an object",
	reflect.Float64: "a number", reflect.Float32: "a number", reflect.Int: "a whole number", reflect.Int64: "a whole number",
	reflect.Int32: "a whole number of 32 bits", reflect.Uint64: "a whole number, 0 or more",
}
