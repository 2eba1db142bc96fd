package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
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
	Task              string // what the labels are for, by Config.Task: "" is one of several
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

// columns are where in a row the label and the sentences are; pair is −1 if there is no
// second sentence.
type columns struct{ label, text, pair int }

// Read reads a labelled sentence or pair a line, and says what it has read as what.
func (f LabelledFormat) Read(r io.Reader) (list []Labelled, found string, err error) {
	rows, err := ReadRows(r, f.Kind)
	if err != nil {
		return nil, "", err
	}
	if len(rows) == 0 {
		return nil, "", errors.New("there is no labelled sentence in it, " + wantLabelled)
	}
	var names, joined []string
	if f.Task == severalLabels {
		if joined, err = f.joinLabels(rows); err != nil {
			return nil, "", err
		}
	}
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
		l, err := at.labelled(row, names, f.Task == severalLabels)
		if err != nil {
			return nil, "", fmt.Errorf("%s %d: %w", UnitOf(f.Kind), row.line, err)
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
	found = at.String(names, width-len(joined))
	if joined != nil {
		found = fmt.Sprintf("labels: the columns %s with 1 or 0, %s", QuotedList(joined), strings.SplitN(found, ", ", 2)[1])
	}
	if passed > 0 {
		found += fmt.Sprintf("; %d without a gold_label left out", passed)
	}
	return list, found, f.checkLabelled(list, names == nil && f.Label == "")
}

// hasHeader tells whether the first row has the names of the columns.
func (f LabelledFormat) hasHeader(rows []Row) (bool, error) {
	isNumber := func(text string) bool { _, err := strconv.ParseFloat(text, 64); return err == nil }
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
	if counts[label] == 0 && len(counts) > 0 && (numbers && !isNumber(label) || f.Task != aNumber && len(counts) > 1 && !single) {
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
func (f LabelledFormat) columns(names []string, width int, rows []Row) (at columns, err error) {
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
func isCoLA(names []string, rows []Row) bool {
	return names == nil && !slices.ContainsFunc(rows, func(r Row) bool {
		return len(r.fields) != 4 || r.fields[1] != "0" && r.fields[1] != "1" || r.fields[2] != "" && r.fields[2] != "*"
	})
}

// allNumbers tells whether a column has nothing but numbers.
func allNumbers(rows []Row, column int) bool {
	return !slices.ContainsFunc(rows, func(r Row) bool {
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
	hasNoName := func(name string) bool { return name == "" } // as those that joinLabels has joined
	return "the columns are " + QuotedList(slices.DeleteFunc(slices.Clone(names), hasNoName))
}

// labelled takes the label, or several of them or none, and the sentences from a row.
func (at columns) labelled(r Row, names []string, several bool) (l Labelled, err error) {
	for _, part := range []struct {
		what string
		at   int
		into *string
	}{{"label", at.label, &l.Label}, {"sentence", at.text, &l.A}, {"second sentence", at.pair, &l.B}} {
		if part.at < 0 {
			continue
		}
		kind, isLabels := r.Kind(part.at), several && part.into == &l.Label
		if kind != Absent {
			*part.into = strings.TrimSpace(r.fields[part.at])
		}
		switch {
		case kind == Absent || *part.into == "" && !isLabels && kind == PlainText:
			return l, fmt.Errorf("there is no %s in %s, %s", part.what, columnName(names, part.at), wantLabelled)
		case kind == Nested && isLabels:
			return l, errors.New("the label is a list or an object, want a text or a list of texts without commas")
		case kind == Nested || kind == Listed && !isLabels:
			return l, fmt.Errorf("the %s is a list or an object, want a text or a number", part.what)
		}
	}
	l.Line = r.line
	return l, nil
}

// columnName is a column in words.
func columnName(names []string, i int) string {
	if names == nil {
		return fmt.Sprintf("column %d", i+1)
	}
	return fmt.Sprintf("column %d %q", i+1, names[i])
}

// String says which columns are read as what, and which are not.
func (at columns) String(names []string, width int) string {
	s := fmt.Sprintf("label: %s, sentence: %s", columnName(names, at.label), columnName(names, at.text))
	if at.pair >= 0 {
		s += ", second sentence: " + columnName(names, at.pair)
	}
	if rest := width - 2 - min(at.pair+1, 1); rest > 0 {
		s += fmt.Sprintf(", not read: %d more", rest)
	}
	return s
}

// joinLabels makes one column of several that say each of one label whether it is right
// (yesNoColumns). Their names are the labels. The new column, the last, has the labels that are
// right, and becomes f's.
func (f *LabelledFormat) joinLabels(rows []Row) (labels []string, err error) {
	names := rows[0].fields
	columns, err := f.yesNoColumns(rows)
	for _, i := range columns {
		if labels = append(labels, strings.TrimSpace(names[i])); err == nil && strings.Contains(names[i], ",") {
			err = fmt.Errorf("the column %q has a comma in its name, which parts labels here: call it otherwise", strings.TrimSpace(names[i]))
		}
	}
	if err != nil || len(labels) < 2 {
		return nil, err
	}
	for n, r := range rows[1:] {
		var right []string
		for k, i := range columns {
			value, ok := yesNo(r, i)
			if !ok {
				return nil, notYesNo(r, i, names[i], f.Kind)
			} else if value {
				right = append(right, labels[k])
			}
		}
		fields := make([]string, max(len(names), len(r.fields)))
		copy(fields, r.fields)
		rows[1+n].fields = append(fields, strings.Join(right, ","))
	}
	header := append(slices.Clone(names), "label")
	for _, i := range columns {
		header[i] = "" // as a row number: nothing to be read
	}
	rows[0].fields, f.Label, f.Header = header, strconv.Itoa(len(header)), "yes"
	return labels, nil
}

// yesNoColumns finds columns that have 1 or 0, true or false: those that -label-column names, or
// if there is nothing that names the label, all of this kind. One that is so in half of the rows
// or more, but not in all, may be meant as well, and is an error.
func (f *LabelledFormat) yesNoColumns(rows []Row) (columns []int, err error) {
	names := rows[0].fields
	if strings.Contains(f.Label, ",") {
		for _, name := range SplitLabels(f.Label) {
			i := slices.Index(columnNames(names), lower(name))
			if i < 0 {
				return nil, fmt.Errorf("-label-column has %q, but %s", name, described(names, len(names)))
			}
			columns = append(columns, i)
		}
		slices.Sort(columns)
		return slices.Compact(columns), nil
	}
	isKnown := func(name string) bool { return slices.Contains(columnNames(names), name) }
	if f.Label != "" || f.Header == "no" || slices.ContainsFunc(knownLabels, isKnown) || len(rows) < 2 {
		return nil, nil
	}
	odds := 0 // columns that may be meant
	for i, name := range names {
		if _, ok := yesNo(rows[0], i); ok || slices.Contains(rowNumbers, lower(name)) {
			continue
		}
		others, last := 0, Row{} // that have something else
		for _, r := range rows[1:] {
			if _, ok := yesNo(r, i); !ok {
				others, last = others+1, r
			}
		}
		if others == 0 {
			columns = append(columns, i)
		} else if 2*others < len(rows) {
			odds, err = odds+1, cmp.Or(err, notYesNo(last, i, name, f.Kind))
		}
	}
	if err != nil && len(columns)+odds > 1 {
		return nil, fmt.Errorf("%w, or the columns of the labels named with -label-column", err)
	}
	return columns, nil
}

// yesNo tells whether a field says yes, if it says either.
func yesNo(r Row, column int) (yes, ok bool) {
	if column >= len(r.fields) {
		return false, false
	}
	text := strings.ToLower(strings.TrimSpace(r.fields[column]))
	if number, err := strconv.ParseFloat(text, 64); err == nil {
		return number == 1, number == 0 || number == 1
	}
	yes, err := strconv.ParseBool(text)
	return yes, err == nil
}

// notYesNo is the error of a row that does not say whether a label is right.
func notYesNo(r Row, column int, name, kind string) error {
	found := "nothing"
	if column < len(r.fields) && r.fields[column] != "" {
		found = strconv.Quote(r.fields[column])
	}
	return fmt.Errorf("%s %d: the column %q has %s, want 1 or 0", UnitOf(kind), r.line, name, found)
}

// checkLabelled refuses numbers to be learnt and, where the label's column was guessed, what
// does not look like labels.
func (f LabelledFormat) checkLabelled(list []Labelled, guessed bool) error {
	if f.Task == aNumber {
		return nil
	}
	labels, sentences, numbers := map[string]bool{}, map[string]bool{}, true
	var fraction *Labelled // the first label with one
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
		return fmt.Errorf("%s %d: the label is %s. Numbers with fractions are no labels to choose from; to learn a number there is -task regress", UnitOf(f.Kind), fraction.Line, fraction.Label)
	}
	if n := len(list); guessed && n > 2 && len(labels) == n && (2*len(sentences) <= n || n > 20) {
		return errors.New("each line has another label: is the label in another column? Name it with -label-column")
	}
	return nil
}
