package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Step 8 of the lesson, labelled words in a file: in columns as CoNLL has them, a word a line
// and an empty line after each sentence, or as JSON objects with a list of words and a list
// of labels.

// Names of the lists in published files. A file may have labels of several kinds; then those
// of entities are meant.
var (
	knownWords    = []string{"tokens", "words"}
	knownWordTags = []string{"ner_tags", "labels", "tags", "ner"}
)

const wantTagged = "want a word and its label in each line, and an empty line after each sentence"

// ReadTagged reads sentences of labelled words, and says what it has read as what.
func (f LabelledFormat) ReadTagged(r io.Reader) (list []Tagged, found string, err error) {
	switch f.Kind {
	case "csv":
		return nil, "", errors.New("labelled words are not read as CSV, " + wantTagged)
	case "json":
		list, found, err = f.readTaggedJSON(r)
	default:
		list, found, err = f.readCoNLL(r)
	}
	if err == nil && len(list) == 0 {
		err = errors.New("there is no labelled word in it, " + wantTagged)
	}
	return list, found, err
}

// readCoNLL reads columns that blanks or tabs part. The word is in the first, the label in the
// last, unless flags say otherwise.
func (f LabelledFormat) readCoNLL(r io.Reader) (list []Tagged, found string, err error) {
	in := bufio.NewReader(r)
	word, label, width, comments := 0, 0, 0, 0
	var s Tagged
	end := func() {
		if len(s.Words) > 0 {
			list = append(list, s)
		}
		s = Tagged{}
	}
	for line := 1; ; line++ {
		text, err := in.ReadString('\n')
		if err != nil && err != io.EOF {
			return nil, "", err
		}
		if text == "" {
			break
		}
		if !utf8.ValidString(text) {
			return nil, "", fmt.Errorf("line %d: %q is not UTF-8: if it is Latin-1 or Windows-1252, save it as UTF-8", line, strings.TrimSpace(text))
		}
		columns := strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == '\t' || r == '\r' || r == '\n' })
		blank := len(columns) == 0
		if strings.Contains(text, "\t") { // then a word may have blanks in it
			columns = strings.Split(strings.TrimRight(text, "\r\n"), "\t")
		}
		switch {
		case blank || strings.HasPrefix(text, "-DOCSTART-"):
			end()
			continue
		case len(s.Words) == 0 && (comments > 0 || width == 0) && isComment(text, columns, width):
			comments++ // before a sentence, and so before the first
			continue
		case width == 0:
			width = len(columns)
			if word, label, err = f.taggedColumns(width); err != nil {
				return nil, "", fmt.Errorf("line %d: %w", line, err)
			}
		}
		if len(columns) != width {
			return nil, "", fmt.Errorf("line %d: it has %d columns, the first line %d; %s", line, len(columns), width, wantTagged)
		}
		w, l := strings.TrimSpace(columns[word]), strings.TrimSpace(columns[label])
		if w == "" || l == "" {
			return nil, "", fmt.Errorf("line %d: there is no word or no label, %s", line, wantTagged)
		}
		if len(s.Words) == 0 {
			s.Line = line
		}
		s.Words, s.Labels = append(s.Words, w), append(s.Labels, l)
	}
	end()
	found = fmt.Sprintf("word: column %d, label: column %d", word+1, label+1)
	if width > 2 {
		found += fmt.Sprintf(", not read: %d more", width-2)
	}
	if comments > 0 {
		found += fmt.Sprintf(", %d lines of comment", comments)
	}
	return list, found, nil
}

// isComment tells whether a line looks like a comment, as some published files have before each
// sentence. (A word may be # too; then it has a label, and as many columns as other lines.)
func isComment(line string, columns []string, width int) bool {
	isRow := (width == 0 || len(columns) == width) && IsEntityLabel(columns[len(columns)-1])
	return strings.HasPrefix(line, "# ") && !isRow
}

// taggedColumns are the columns of the word and of its label.
func (f LabelledFormat) taggedColumns(width int) (word, label int, err error) {
	word, label = 0, width-1
	for _, given := range []struct {
		name, flag string
		into       *int
	}{{f.Text, "-text-column", &word}, {f.Label, "-label-column", &label}} {
		if given.name == "" {
			continue
		}
		n, err := strconv.Atoi(given.name)
		if err != nil || n < 1 || n > width {
			return 0, 0, fmt.Errorf("%s is %q, want 1 to %d, as many columns as there are", given.flag, given.name, width)
		}
		*given.into = n - 1
	}
	if word == label {
		return 0, 0, fmt.Errorf("the word and its label are both in column %d of %d, %s", word+1, width, wantTagged)
	}
	return word, label, nil
}

// readTaggedJSON reads JSON objects, one after the other or in a list.
func (f LabelledFormat) readTaggedJSON(r io.Reader) (list []Tagged, found string, err error) {
	word, label := f.Text, f.Label
	err = EachObject(r, func(n int, keys []string, values []json.RawMessage) (err error) {
		word, label = cmp.Or(word, firstKnown(knownWords, keys)), cmp.Or(label, firstKnown(knownWordTags, keys))
		s := Tagged{Line: n}
		for _, part := range []struct {
			name string
			into *[]string
		}{{word, &s.Words}, {label, &s.Labels}} {
			at := slices.Index(keys, part.name)
			if at < 0 {
				return fmt.Errorf("object %d: it has %s, want a list of words and one of labels: name them with -text-column and -label-column", n, QuotedList(keys))
			}
			if *part.into, err = stringsOrNumbers(values[at]); err != nil {
				return fmt.Errorf("object %d: %q: %w", n, part.name, err)
			}
		}
		if len(s.Words) != len(s.Labels) {
			return fmt.Errorf("object %d: there are %d words and %d labels", n, len(s.Words), len(s.Labels))
		}
		if len(s.Words) > 0 {
			list = append(list, s)
		}
		return nil
	})
	return list, fmt.Sprintf("words: %q, labels: %q", word, label), err
}

// firstKnown is the first of known that there is, or "".
func firstKnown(known, keys []string) string {
	for _, name := range known {
		if slices.Contains(keys, name) {
			return name
		}
	}
	return ""
}

// stringsOrNumbers are the strings or whole numbers of a list in JSON.
func stringsOrNumbers(data json.RawMessage) (all []string, err error) {
	var list []LooseValue
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, errors.New("want a list of strings")
	}
	for _, v := range list {
		s := string(v)
		if s == "" || strings.ContainsAny(s[:1], "[{") || s == "null" {
			return nil, fmt.Errorf("it has %q, want a list of strings", s)
		}
		all = append(all, s)
	}
	return all, nil
}
