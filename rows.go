package main

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
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
}

// In a field of JSON, what begins with listed is a list of strings, with commas between them,
// and nested stands for any other list or an object.
const listed, nested = "\x01", "\x00"

// ReadRows reads all rows of a file of a kind: "csv", "json" or "" for tabs.
func ReadRows(r io.Reader, kind string) (rows []Row, err error) {
	add := func(fields []string, line int) error {
		for i, field := range fields {
			if !utf8.ValidString(field) {
				return fmt.Errorf("line %d: field %d, %q, is not UTF-8: if it is Latin-1 or Windows-1252, save it as UTF-8", line, i+1, field)
			}
		}
		rows = append(rows, Row{fields, line})
		return nil
	}
	switch kind {
	case "csv":
		err = csvRows(r, add)
	case "json":
		err = jsonRows(r, add)
	default:
		err = tsvRows(r, add)
	}
	return rows, ignoreEOF(err)
}

// tsvRows calls add for each row, up to an error, which at the end is io.EOF.
func tsvRows(r io.Reader, add func(fields []string, line int) error) error {
	in := bufio.NewReader(r)
	for line := 1; ; line++ {
		text, err := in.ReadString('\n')
		if err != nil && (err != io.EOF || text == "") {
			return err
		}
		if strings.TrimSpace(text) == "" {
			return fmt.Errorf("line %d is empty, %s", line, wantLabelled)
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

// jsonRows is the same for JSON objects. The first row has the names, which are those of the
// first object; line is the number of the object.
func jsonRows(r io.Reader, add func(fields []string, line int) error) error {
	var names []string
	return EachObject(r, func(n int, keys []string, values []json.RawMessage) error {
		if names == nil {
			names = keys
			add(names, n) // no error: what is decoded is UTF-8
		}
		fields := make([]string, len(names))
		for i, key := range keys {
			text, err := textOf(values[i])
			if err != nil {
				return fmt.Errorf("object %d: %w", n, err)
			}
			if at := slices.Index(names, key); at >= 0 {
				fields[at] = text
			}
		}
		return add(fields, n)
	})
}

// textOf is a field of JSON as a text.
func textOf(value json.RawMessage) (string, error) {
	switch value[0] {
	case '[':
		var list []string
		if json.Unmarshal(value, &list) == nil && !strings.Contains(strings.Join(list, ""), ",") {
			return listed + strings.Join(list, ","), nil
		}
		return nested, nil
	case '{':
		return nested, nil
	case 'n': // null
		return "", nil
	case '"':
		var text string
		err := json.Unmarshal(value, &text)
		return text, err
	}
	return string(value), nil
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
				keys, values = append(keys, key.(string)), append(values, value)
				if err == nil && !utf8.Valid(value) { // the package would read U+FFFD
					err = fmt.Errorf("%q is not UTF-8: if it is Latin-1 or Windows-1252, save it as UTF-8", key)
				}
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
