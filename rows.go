package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Step 8 of the lesson, the rows of a file: columns parted by tabs or as CSV has them, or
// JSON objects, whose first row is then their names.

// FormatOf is the kind of file that a name promises.
func FormatOf(name string) string {
	switch filepath.Ext(strings.TrimSuffix(strings.ToLower(name), ".gz")) {
	case ".csv":
		return "csv"
	case ".json", ".jsonl", ".ndjson":
		return "json"
	}
	return ""
}

const wantLabelled = "want a label and one or two sentences, such as label<TAB>sentence"

// A Row is a line of a file, or an object.
type Row struct {
	fields []string
	line   int
	kinds  []FieldKind // of fields; what it is too short for is text
}

// A FieldKind says what stands in a field, which in JSON may be other than a text.
type FieldKind byte

const (
	PlainText FieldKind = iota // or a number
	Listed                     // a list of strings, which the field has with commas between them
	Nested                     // any other list, or an object
	Absent                     // nothing or, in JSON, null
)

// Kind is that of field i.
func (r Row) Kind(i int) FieldKind {
	if i >= len(r.fields) {
		return Absent
	} else if i >= len(r.kinds) {
		return PlainText
	}
	return r.kinds[i]
}

// UnitOf is what the rows of a kind of file are numbered by in errors.
func UnitOf(kind string) string {
	if kind == "json" {
		return "object"
	}
	return "line"
}

// ReadRows reads all rows of a file of a kind: "csv", "json" or "" for tabs.
func ReadRows(r io.Reader, kind string) (rows []Row, err error) {
	add := func(fields []string, line int) error {
		for i, field := range fields {
			if !utf8.ValidString(field) {
				return fmt.Errorf("line %d: field %d, %q, is not UTF-8: if it is Latin-1 or Windows-1252, save it as UTF-8", line, i+1, field)
			}
		}
		rows = append(rows, Row{fields: fields, line: line})
		return nil
	}
	switch kind {
	case "csv":
		err = csvRows(r, add)
	case "json":
		return jsonRows(r)
	default:
		err = tsvRows(r, add)
	}
	return rows, ignoreEOF(err)
}

// tsvRows calls add for each row, up to an error, which at the end is io.EOF.
func tsvRows(r io.Reader, add func(fields []string, line int) error) error {
	in := bufio.NewReader(r)
	empty := 0 // the first empty line; those at the end of the file are nothing
	for line := 1; ; line++ {
		text, err := in.ReadString('\n')
		if err != nil && (err != io.EOF || text == "") {
			return err
		}
		if strings.TrimSpace(text) == "" {
			empty = cmp.Or(empty, line)
			continue
		}
		if empty > 0 {
			return fmt.Errorf("line %d is empty, %s", empty, wantLabelled)
		}
		if err := add(strings.Split(strings.TrimRight(text, "\r\n"), "\t"), line); err != nil {
			return err
		}
	}
}

// csvRows is the same for CSV, where a quoted field may go over several lines.
func csvRows(r io.Reader, add func(fields []string, line int) error) error {
	in := csv.NewReader(r)
	in.FieldsPerRecord = -1
	for next := 1; ; {
		fields, err := in.Read()
		if err != nil {
			return err
		}
		line, _ := in.FieldPos(0)
		if line > next { // the package passes empty lines over
			return fmt.Errorf("line %d is empty, want a label and one or two sentences", next)
		}
		next = line + 1 + strings.Count(strings.Join(fields, ""), "\n")
		if err := add(fields, line); err != nil {
			return err
		}
	}
}

// jsonRows reads JSON objects. The first row has the names of all fields of all objects, in the
// order in which they come up; line is the number of the object.
func jsonRows(r io.Reader) (rows []Row, err error) {
	names := Row{line: 1}
	err = EachObject(r, func(n int, keys []string, values []json.RawMessage) error {
		row := Row{line: n}
		for i, key := range keys {
			at := slices.Index(names.fields, key)
			if at < 0 {
				at, names.fields = len(names.fields), append(names.fields, key)
			}
			for len(row.fields) <= at {
				row.fields, row.kinds = append(row.fields, ""), append(row.kinds, Absent)
			}
			row.fields[at], row.kinds[at] = textOf(values[i])
		}
		rows = append(rows, row)
		return nil
	})
	if len(rows) > 0 {
		rows = slices.Insert(rows, 0, names)
	}
	return rows, err
}

// textOf is a field of JSON as a text.
func textOf(value json.RawMessage) (text string, kind FieldKind) {
	switch value[0] {
	case '[':
		var list []string
		if json.Unmarshal(value, &list) == nil && !strings.Contains(strings.Join(list, ""), ",") {
			return strings.Join(list, ","), Listed
		}
		return "", Nested
	case '{':
		return "", Nested
	case 'n': // null
		return "", Absent
	case '"':
		json.Unmarshal(value, &text) // it has been read before, as a value
		return text, PlainText
	}
	return string(value), PlainText
}

// surrogates are escapes of half characters, of which two may be a whole one.
var surrogates = regexp.MustCompile(`\\u[dD][89abAB]..\\u[dD][c-fC-F]|\\u[dD][89a-fA-F]`)

// CheckText returns an error where the package would read U+FFFD: for what is not UTF-8, and for
// half a character.
func CheckText(value json.RawMessage) error {
	if !utf8.Valid(value) {
		return errors.New("is not UTF-8: if it is Latin-1 or Windows-1252, save it as UTF-8")
	}
	if !bytes.Contains(value, []byte(`\u`)) {
		return nil
	}
	for _, escape := range surrogates.FindAll(bytes.ReplaceAll(value, []byte(`\\`), nil), -1) {
		if len(escape) == len(`\ud8`) {
			return fmt.Errorf("has %s…, half a character without the other half", escape)
		}
	}
	return nil
}

// EachObject calls use for JSON objects, which stand one after the other or in a list: with the
// number of each, from 1, and its fields in their order.
func EachObject(r io.Reader, use func(n int, keys []string, values []json.RawMessage) error) error {
	decoder, n, list := json.NewDecoder(r), 0, false
	for n == 0 || decoder.More() {
		n++
		begin, err := decoder.Token()
		if n == 1 && err == io.EOF {
			return nil
		}
		if n == 1 && begin == json.Delim('[') {
			if list = true; !decoder.More() {
				break
			}
			begin, err = decoder.Token()
		}
		if err == nil && begin != json.Delim('{') {
			err = fmt.Errorf("it has %v, want an object with a label and a text", begin)
		}
		var keys []string
		var values []json.RawMessage
		for err == nil && decoder.More() {
			var key json.Token
			var value json.RawMessage
			if key, err = decoder.Token(); err == nil {
				err = decoder.Decode(&value)
				if e := CheckText(value); err == nil && e != nil {
					err = fmt.Errorf("%q %w", key, e)
				} else if err == nil && slices.Contains(keys, key.(string)) {
					err = fmt.Errorf("%q stands there twice, want it once", key)
				}
				keys, values = append(keys, key.(string)), append(values, value)
			}
		}
		if err == nil {
			_, err = decoder.Token() // }
		}
		if err != nil {
			return fmt.Errorf("object %d: %w", n, noEOF(err))
		}
		if err := use(n, keys, values); err != nil {
			return err
		}
	}
	if list {
		if token, err := decoder.Token(); token != json.Delim(']') {
			return fmt.Errorf("after object %d: %w", n, noEOF(err))
		}
	}
	return endOfJSON(decoder)
}
