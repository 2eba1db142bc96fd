package main

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Step 8 of the lesson, labelled sentences in a file: columns parted by tabs or as CSV has
// them, or JSON objects. What is read as what follows from the names of the columns or,
// without names, from their order; it is said, and where it would be a guess it is asked for.

// LabelledFormat is how a file has labelled sentences. The zero value is tab-separated,
// and the columns are to be found.
type LabelledFormat struct {
	Kind              string // "csv", "json" or "" for tabs
	Label, Text, Pair string // columns, by name or by number from 1
	Header            string // whether the first line has the names: "yes", "no", or "" to be found
}

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

// Names that columns have in published files, such as GLUE's, in small letters.
var (
	knownLabels = []string{"gold_label", "label", "labels", "target", "class", "category", "is_duplicate", "quality", "sentiment", "intent", "score"}
	knownPairs  = [][2]string{
		{"sentence1", "sentence2"}, {"question1", "question2"}, {"premise", "hypothesis"}, {"#1 string", "#2 string"}, {"question", "sentence"},
		{"question", "passage"}, {"query", "passage"}, {"text_a", "text_b"}, {"text1", "text2"}, {"sentence_a", "sentence_b"},
	}
	knownTexts = []string{"text", "sentence", "review", "content", "comment", "tweet", "message", "utterance", "question", "query"}
	rowNumbers = []string{"", "idx", "id", "index", "unnamed: 0", "guid", "uid"}
)

const wantLabelled = "want a label and one or two sentences, such as label<TAB>sentence"

// A row is a line of a file, or an object.
type row struct {
	fields []string
	line   int
}

// columns are where in a row the label and the sentences are; pair is −1 if there is no
// second sentence.
type columns struct{ label, text, pair int }

// Read reads a labelled sentence or pair a line, and says what it has read as what.
func (f LabelledFormat) Read(r io.Reader) (list []Labelled, found string, err error) {
	rows, err := f.rows(r)
	if err != nil {
		return nil, "", err
	}
	if len(rows) == 0 {
		return nil, "", errors.New("there is no labelled sentence in it, " + wantLabelled)
	}
	var names []string
	width, passed := len(rows[0].fields), 0
	if header, err := f.hasHeader(rows); err != nil {
		return nil, "", err
	} else if header {
		names, rows = rows[0].fields, rows[1:]
	}
	at, err := f.columns(names, width, rows)
	if err != nil {
		return nil, "", err
	}
	for _, row := range rows {
		if len(row.fields) > width || names == nil && len(row.fields) < width {
			return nil, "", fmt.Errorf("line %d: it has %d fields, the first line %d; %s", row.line, len(row.fields), width, wantLabelled)
		}
		l, err := at.labelled(row)
		if err != nil {
			return nil, "", fmt.Errorf("line %d: %w", row.line, err)
		}
		if l.Label == "-" && names != nil && lower(names[at.label]) == "gold_label" {
			passed++ // the people who labelled it did not agree
			continue
		}
		list = append(list, l)
	}
	if len(list) == 0 {
		return nil, "", errors.New("there is no labelled sentence in it, " + wantLabelled)
	}
	found = at.String(names, width)
	if passed > 0 {
		found += fmt.Sprintf("; %d without a gold_label left out", passed)
	}
	return list, found, checkLabelled(list, names == nil && f.Label == "")
}

// rows reads all rows.
func (f LabelledFormat) rows(r io.Reader) (rows []row, err error) {
	in := bufio.NewReader(r)
	if mark, _ := in.Peek(3); string(mark) == "\ufeff" {
		in.Discard(3)
	}
	next := tsvRows(in)
	switch f.Kind {
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

// hasHeader tells whether the first row has the names of the columns.
func (f LabelledFormat) hasHeader(rows []row) (bool, error) {
	isNumber := func(name string) bool { _, err := strconv.Atoi(name); return err == nil }
	byName := slices.ContainsFunc([]string{f.Label, f.Text, f.Pair}, func(name string) bool { return name != "" && !isNumber(name) })
	if f.Header != "" || f.Kind == "json" || byName {
		return f.Header != "no" || f.Kind == "json", nil
	}
	first := rows[0]
	names := columnNames(first.fields)
	hasLabel := slices.ContainsFunc(knownLabels, func(name string) bool { return slices.Contains(names, name) })
	if _, hasText := textColumns(names); hasLabel && hasText || slices.Contains(names, "label") || slices.Contains(names, "gold_label") {
		return true, nil
	}
	// Is its label one among others?
	at, err := f.columns(nil, len(first.fields), rows)
	if err != nil {
		return false, err
	}
	counts, numbers := map[string]int{}, true
	for _, row := range rows[1:] {
		if at.label < len(row.fields) {
			counts[row.fields[at.label]]++
			numbers = numbers && isNumber(row.fields[at.label])
		}
	}
	label, single := first.fields[at.label], slices.Contains(slices.Collect(maps.Values(counts)), 1)
	if counts[label] == 0 && len(counts) > 0 && (numbers && !isNumber(label) || len(counts) > 1 && !single) {
		return false, fmt.Errorf("line 1: the label %q comes up in no other line. Is it the name of a column? Say -header yes, or -header no", label)
	}
	return false, nil
}

// lower is a name of a column as it is compared.
func lower(name string) string { return strings.ToLower(strings.TrimSpace(name)) }

// columnNames are names as they are compared.
func columnNames(names []string) (all []string) {
	for _, name := range names {
		all = append(all, lower(name))
	}
	return all
}

// textColumns are the columns of sentences that known names tell.
func textColumns(names []string) (at []int, ok bool) {
	for _, pair := range knownPairs {
		a, b := slices.Index(names, pair[0]), slices.Index(names, pair[1])
		if a >= 0 && b >= 0 {
			return []int{a, b}, true
		}
	}
	for i, name := range names {
		if slices.Contains(knownTexts, name) {
			at = append(at, i)
		}
	}
	return at, len(at) == 1
}

// columns finds the columns, of which names are nil where there is no header.
func (f LabelledFormat) columns(names []string, width int, rows []row) (at columns, err error) {
	at = columns{-1, -1, -1}
	for _, given := range []struct {
		name, flag string
		into       *int
	}{{f.Label, "-label-column", &at.label}, {f.Text, "-text-column", &at.text}, {f.Pair, "-pair-column", &at.pair}} {
		if given.name == "" {
			continue
		}
		n, err := strconv.Atoi(given.name)
		if i := slices.Index(columnNames(names), lower(given.name)); i >= 0 {
			*given.into = i
		} else if err == nil && n >= 1 && n <= width {
			*given.into = n - 1
		} else {
			return at, fmt.Errorf("%s is %q, but %s", given.flag, given.name, described(names, width))
		}
	}
	if l, t, p := at.label, at.text, at.pair; l >= 0 && (l == t || l == p) || t >= 0 && t == p {
		return at, errors.New("-label-column, -text-column and -pair-column name one column twice")
	}
	if isCoLA(names, rows) && at == (columns{-1, -1, -1}) {
		return columns{label: 1, text: 3, pair: -1}, nil
	}
	if at.label < 0 {
		if at.label, err = labelColumn(names, width, at); err != nil {
			return at, err
		}
	}
	if at.text >= 0 {
		return at, nil
	}
	ask := fmt.Errorf("%s: name the sentence with -text-column, and a second one with -pair-column", described(names, width))
	texts, ok := textColumns(columnNames(names))
	if !ok || slices.Contains(texts, at.label) {
		if len(texts) > 1 {
			return at, ask
		}
		texts = nil
		for i := range width {
			if i != at.label && i != at.pair && (names == nil || !slices.Contains(rowNumbers, lower(names[i]))) {
				texts = append(texts, i)
			}
		}
		if len(texts) != 1 && (len(texts) != 2 || at.pair >= 0) || slices.ContainsFunc(texts, func(i int) bool { return allNumbers(rows, i) }) {
			return at, ask
		}
	}
	if at.text = texts[0]; at.pair < 0 && len(texts) == 2 {
		at.pair = texts[1]
	}
	return at, nil
}

// labelColumn finds the column of the label, which is none of those that are given.
func labelColumn(names []string, width int, given columns) (int, error) {
	free := func(i int) bool { return i != given.text && i != given.pair }
	for _, name := range knownLabels {
		if i := slices.Index(columnNames(names), name); i >= 0 && free(i) {
			return i, nil
		}
	}
	if names != nil || width < 2 {
		return -1, fmt.Errorf("%s: name the label's with -label-column", described(names, width))
	}
	for i := range width {
		if free(i) {
			return i, nil
		}
	}
	return -1, fmt.Errorf("%s, and no other for the label", described(names, width))
}

// isCoLA tells whether rows are as in GLUE's CoLA: source, label, * or nothing, sentence.
func isCoLA(names []string, rows []row) bool {
	return names == nil && !slices.ContainsFunc(rows, func(r row) bool {
		return len(r.fields) != 4 || r.fields[1] != "0" && r.fields[1] != "1" || r.fields[2] != "" && r.fields[2] != "*"
	})
}

// allNumbers tells whether a column has nothing but numbers.
func allNumbers(rows []row, column int) bool {
	return !slices.ContainsFunc(rows, func(r row) bool {
		if column >= len(r.fields) {
			return false
		}
		_, err := strconv.ParseFloat(strings.TrimSpace(r.fields[column]), 64)
		return err != nil
	})
}

// described are the columns in words.
func described(names []string, width int) string {
	if names == nil {
		return fmt.Sprintf("line 1 has %d fields", width)
	}
	return "the columns are " + QuotedList(names)
}

// nested stands for a list or an object in a field of JSON.
const nested = "\x00"

// labelled takes the label and the sentences from a row.
func (at columns) labelled(r row) (l Labelled, err error) {
	for _, part := range []struct {
		what string
		at   int
		into *string
	}{{"label", at.label, &l.Label}, {"sentence", at.text, &l.A}, {"second sentence", at.pair, &l.B}} {
		if part.at < 0 {
			continue
		}
		if part.at < len(r.fields) {
			*part.into = strings.TrimSpace(r.fields[part.at])
		}
		switch *part.into {
		case "":
			return l, fmt.Errorf("there is no %s, %s", part.what, wantLabelled)
		case nested:
			return l, fmt.Errorf("the %s is a list or an object, want a text or a number", part.what)
		}
	}
	l.Line = r.line
	return l, nil
}

// String says which columns are read as what, and which are not.
func (at columns) String(names []string, width int) string {
	column := func(i int) string {
		if names == nil {
			return fmt.Sprintf("column %d", i+1)
		}
		return fmt.Sprintf("column %d %q", i+1, names[i])
	}
	s := fmt.Sprintf("label: %s, sentence: %s", column(at.label), column(at.text))
	if at.pair >= 0 {
		s += ", second sentence: " + column(at.pair)
	}
	if rest := width - 2 - min(at.pair+1, 1); rest > 0 {
		s += fmt.Sprintf(", not read: %d more", rest)
	}
	return s
}

// checkLabelled refuses numbers to be learnt and, where the label's column was guessed, what
// does not look like labels.
func checkLabelled(list []Labelled, guessed bool) error {
	labels, sentences, numbers, fraction := map[string]bool{}, map[string]bool{}, true, (*Labelled)(nil)
	for i := range list {
		l := &list[i]
		labels[l.Label], sentences[l.A] = true, true
		number, err := strconv.ParseFloat(l.Label, 64)
		numbers = numbers && err == nil && finite(number)
		if number != math.Trunc(number) && fraction == nil {
			fraction = l
		}
	}
	if numbers && fraction != nil {
		return fmt.Errorf("line %d: the label is %s. Numbers with fractions are no labels to choose from, and to learn numbers is no task here", fraction.Line, fraction.Label)
	}
	if n := len(list); guessed && n > 2 && len(labels) == n && (2*len(sentences) <= n || n > 20) {
		return errors.New("each line has another label: is the label in another column? Name it with -label-column")
	}
	return nil
}

// tsvRows returns a function that returns the next row.
func tsvRows(in *bufio.Reader) func() (row, error) {
	line := 0
	return func() (row, error) {
		text, err := in.ReadString('\n')
		if err != nil && (err != io.EOF || text == "") {
			return row{}, err
		}
		line++
		if strings.TrimSpace(text) == "" {
			return row{}, fmt.Errorf("line %d is empty, %s", line, wantLabelled)
		}
		return row{strings.Split(strings.TrimRight(text, "\r\n"), "\t"), line}, nil
	}
}

// csvRows is the same for CSV, where a quoted field may go over several lines.
func csvRows(r io.Reader) func() (row, error) {
	in, next := csv.NewReader(r), 1
	in.FieldsPerRecord = -1
	return func() (row, error) {
		fields, err := in.Read()
		if err != nil {
			return row{}, err
		}
		line, _ := in.FieldPos(0)
		if line > next { // the package passes empty lines over
			return row{}, fmt.Errorf("line %d is empty, want a label and one or two sentences", next)
		}
		next = line + 1 + strings.Count(strings.Join(fields, ""), "\n")
		return row{fields, line}, nil
	}
}

// jsonRows is the same for JSON objects, one after the other or in a list. The first row
// has the names, which are those of the first object; line is the number of the object.
func jsonRows(in *bufio.Reader) func() (row, error) {
	decoder, line := json.NewDecoder(in), 0
	var names, first []string
	decoder.UseNumber()
	return func() (row, error) {
		if first != nil {
			defer func() { first = nil }()
			return row{first, line}, nil
		}
		if !decoder.More() && line > 0 {
			return row{}, io.EOF
		}
		begin, err := decoder.Token()
		if begin == json.Delim('[') && line == 0 {
			if begin, err = decoder.Token(); begin == json.Delim(']') {
				return row{}, io.EOF
			}
		}
		if err == io.EOF && line == 0 {
			return row{}, err
		}
		line++
		if err == nil && begin != json.Delim('{') {
			err = fmt.Errorf("it has %v, want an object with a label and a text", begin)
		}
		if err != nil {
			return row{}, wrapObject(line, err)
		}
		keys, values, err := jsonObject(decoder)
		if err != nil {
			return row{}, wrapObject(line, err)
		}
		if names == nil {
			names, first = keys, values
			return row{names, line}, nil
		}
		fields := make([]string, len(names))
		for i, key := range keys {
			if at := slices.Index(names, key); at >= 0 {
				fields[at] = values[i]
			}
		}
		return row{fields, line}, nil
	}
}

// wrapObject adds the number of the object to an error in it.
func wrapObject(n int, err error) error {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("object %d: %w", n, err)
}

// jsonObject reads the rest of an object, in its order.
func jsonObject(decoder *json.Decoder) (keys, values []string, err error) {
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return nil, nil, err
		}
		var value any
		if err := decoder.Decode(&value); err != nil {
			return nil, nil, err
		}
		text := nested
		switch v := value.(type) {
		case nil:
			text = ""
		case string:
			text = v
		case json.Number, bool:
			text = fmt.Sprint(v)
		}
		keys, values = append(keys, key.(string)), append(values, text)
	}
	_, err = decoder.Token() // }
	return keys, values, err
}
