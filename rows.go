package main

import (
	"bufio"
	"cmp"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// Step 8 of the lesson, the rows of a file: columns parted by tabs or as CSV has them, or
// JSON objects, whose first row is then their names.

// FormatOf is the kind of file that a name promises.
func FormatOf(name string) string {
	name = strings.TrimSuffix(strings.ToLower(name), ".gz")
	switch {
	case strings.HasSuffix(name, ".csv"):
		return "csv"
	case strings.HasSuffix(name, ".json") || strings.HasSuffix(name, ".jsonl") || strings.HasSuffix(name, ".ndjson"):
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
	in := bufio.NewReader(r)
	if mark, _ := in.Peek(3); string(mark) == "\ufeff" {
		in.Discard(3)
	}
	next := tsvRows(in)
	switch kind {
	case "csv":
		next = csvRows(in)
	case "json":
		next = jsonRows(in)
	}
	for {
		row, err := next()
		if err == io.EOF {
			return rows, nil
		} else if err != nil {
			return nil, err
		}
		for i, field := range row.fields {
			if !utf8.ValidString(field) {
				return nil, fmt.Errorf("line %d: field %d, %q, is not UTF-8: if it is Latin-1 or Windows-1252, save it as UTF-8", row.line, i+1, field)
			}
		}
		rows = append(rows, row)
	}
}

// tsvRows returns a function that returns the next row.
func tsvRows(in *bufio.Reader) func() (Row, error) {
	line := 0
	return func() (Row, error) {
		text, err := in.ReadString('\n')
		if err != nil && (err != io.EOF || text == "") {
			return Row{}, err
		}
		line++
		if strings.TrimSpace(text) == "" {
			return Row{}, fmt.Errorf("line %d is empty, %s", line, wantLabelled)
		}
		return Row{strings.Split(strings.TrimRight(text, "\r\n"), "\t"), line}, nil
	}
}

// csvRows is the same for CSV, where a quoted field may go over several lines.
func csvRows(r io.Reader) func() (Row, error) {
	in, next := csv.NewReader(r), 1
	in.FieldsPerRecord = -1
	return func() (Row, error) {
		fields, err := in.Read()
		if err != nil {
			return Row{}, err
		}
		line, _ := in.FieldPos(0)
		if line > next { // the package passes empty lines over
			return Row{}, fmt.Errorf("line %d is empty, want a label and one or two sentences", next)
		}
		next = line + 1 + strings.Count(strings.Join(fields, ""), "\n")
		return Row{fields, line}, nil
	}
}

// jsonRows is the same for JSON objects. The first row has the names, which are those of the
// first object; line is the number of the object.
func jsonRows(in *bufio.Reader) func() (Row, error) {
	objects, line := Objects{decoder: json.NewDecoder(in)}, 0
	var names, first []string
	return func() (Row, error) {
		if texts := first; texts != nil {
			first = nil
			return Row{texts, line}, nil
		}
		line++
		keys, values, err := objects.Next()
		if err != nil {
			return Row{}, err
		}
		texts := make([]string, len(keys))
		for i, value := range values {
			if texts[i], err = textOf(value); err != nil {
				return Row{}, fmt.Errorf("object %d: %w", line, err)
			}
		}
		if names == nil {
			names, first = keys, texts
			return Row{names, line}, nil
		}
		fields := make([]string, len(names))
		for i, key := range keys {
			if at := slices.Index(names, key); at >= 0 {
				fields[at] = texts[i]
			}
		}
		return Row{fields, line}, nil
	}
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

// Objects are JSON objects, which stand one after the other or in a list.
type Objects struct {
	decoder *json.Decoder
	n       int // how many have been read
	list    bool
}

// Next reads the next one. Its fields come in their order. After the last it returns io.EOF.
func (o *Objects) Next() (keys []string, values []json.RawMessage, err error) {
	decoder := o.decoder
	if o.n > 0 && !decoder.More() {
		return nil, nil, o.end()
	}
	o.n++
	begin, err := decoder.Token()
	if o.n == 1 && err == io.EOF {
		return nil, nil, err
	}
	if o.n == 1 && begin == json.Delim('[') {
		if o.list = true; !decoder.More() {
			return nil, nil, o.end()
		}
		begin, err = decoder.Token()
	}
	if err == nil && begin != json.Delim('{') {
		err = fmt.Errorf("it has %v, want an object with a label and a text", begin)
	}
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
		return nil, nil, fmt.Errorf("object %d: %w", o.n, noEOF(err))
	}
	return keys, values, nil
}

// end is io.EOF if nothing follows but the end of the list.
func (o *Objects) end() error {
	if o.list {
		if token, err := o.decoder.Token(); token != json.Delim(']') {
			return fmt.Errorf("after object %d: %w", o.n, noEOF(err))
		}
	}
	return cmp.Or(endOfJSON(o.decoder), io.EOF)
}
