package main

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Step 8 of the lesson, a task: a label for a sentence or a pair, from the vector of [CLS].
// Here are its head, its files and its answers.

func init() { taskHeads[classification] = newClassifier }

// Classifier finds one of C labels for each sequence, by the vector that the
// pooler makes of its [CLS] (Hugging Face's BertForSequenceClassification).
//
//	logits = Linear(dropout(tanh(Linear(x[first]))))
type Classifier struct {
	pooler  *Pooler
	dropout *Dropout
	output  *Linear // (H) → (C)
	loss    *CrossEntropy

	logits []float32 // (S, C), becomes their gradient
}

func newClassifier(m *Model) TaskHead {
	c := &m.Config
	m.pooler = NewPooler(&m.Parameters, c)
	return &Classifier{
		pooler:  m.pooler,
		dropout: m.NewDropout(c.HeadDropout()),
		output:  NewLinear(&m.Parameters, "classifier", c.HiddenSize, len(c.Labels())),
		loss:    NewCrossEntropy(),
	}
}

// Forward: (N, H) → (S, C).
func (l *Classifier) Forward(x []float32, starts []int) []float32 {
	l.logits = l.output.Forward(l.dropout.Forward(l.pooler.Forward(x, starts)))
	return l.logits
}

// Loss is the sum of −ln p(label) over the sequences, which have a label each, and the
// gradient that of their mean.
func (l *Classifier) Loss(labels []int32) (loss float64, correct int) {
	return l.loss.ForwardBackward(l.logits, labels, 1/float32(len(labels)))
}

// Backward goes through Forward in reverse.
func (l *Classifier) Backward(dx []float32) {
	l.pooler.Backward(l.dropout.Backward(l.output.Backward(l.logits)), dx)
}

// classifySeq is the most tokens of a sentence or pair, unless it is given.
const classifySeq = 128

// A Labelled is a sentence, or a pair of them, and its label.
type Labelled struct {
	Label, A, B string // B is "" if there is no second sentence
	Line        int
}

const wantLabelled = "want label<TAB>sentence or label<TAB>sentence<TAB>sentence"

// ReadLabelled reads a labelled sentence or pair a line:
//
//	label<TAB>sentence    label<TAB>sentence<TAB>sentence
//
// or the same in CSV. If a field of the first line is "label", that line names the
// columns, which may then stand in any order: label, one or two with sentences,
// and idx or id, which are passed over.
func ReadLabelled(r io.Reader, isCSV bool) ([]Labelled, error) {
	rows := tsvRows(r)
	if isCSV {
		rows = csvRows(r)
	}
	var all []Labelled
	columns, width := []int{0, 1, 2}, 3
	for first := true; ; first = false {
		fields, line, err := rows()
		if err == io.EOF {
			break
		} else if err != nil {
			return nil, err
		}
		if first {
			fields[0] = strings.TrimPrefix(fields[0], "\ufeff") // a byte order mark
			if named, err := headerColumns(fields); err != nil {
				return nil, err
			} else if named != nil {
				columns, width = named, len(fields)
				continue
			}
		}
		if len(fields) > width {
			return nil, fmt.Errorf("line %d: there are %d fields, %s", line, len(fields), wantLabelled)
		}
		l, err := labelledOf(fields, columns)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		l.Line = line
		if len(all) > 0 && (l.B == "") != (all[0].B == "") {
			return nil, fmt.Errorf("line %d: some lines have one sentence, some two, want the same of all", line)
		}
		all = append(all, l)
	}
	if len(all) == 0 {
		return nil, errors.New("there is no labelled sentence in it, " + wantLabelled)
	}
	return all, nil
}

// headerColumns returns where the label and the sentences are, if fields name
// columns.
func headerColumns(fields []string) ([]int, error) {
	columns := []int{-1}
	for i, name := range fields {
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "label":
			columns[0] = i
		case "idx", "id", "index":
		default:
			columns = append(columns, i)
		}
	}
	if columns[0] < 0 {
		return nil, nil
	}
	if len(columns) != 2 && len(columns) != 3 {
		return nil, fmt.Errorf("line 1 has the columns %q, want label, one or two with sentences, and nothing else but idx or id", fields)
	}
	return columns, nil
}

// labelledOf takes the columns of the label and the sentences from a line.
func labelledOf(fields []string, columns []int) (l Labelled, err error) {
	into := []*string{&l.Label, &l.A, &l.B}
	for i, c := range columns {
		if c < len(fields) {
			if *into[i] = strings.TrimSpace(fields[c]); *into[i] != "" {
				continue
			}
		} else if i == 2 {
			continue // no second sentence
		}
		return l, fmt.Errorf("there is no %s, %s", []string{"label", "sentence", "second sentence"}[i], wantLabelled)
	}
	return l, nil
}

// tsvRows returns a function that returns the fields of the next line.
func tsvRows(r io.Reader) func() ([]string, int, error) {
	in, line := bufio.NewReader(r), 0
	return func() ([]string, int, error) {
		text, err := in.ReadString('\n')
		if err != nil && (err != io.EOF || text == "") {
			return nil, 0, err
		}
		line++
		if strings.TrimSpace(text) == "" {
			return nil, 0, fmt.Errorf("line %d is empty, %s", line, wantLabelled)
		}
		return strings.Split(strings.TrimRight(text, "\r\n"), "\t"), line, nil
	}
}

// csvRows is the same for CSV, where a quoted field may go over several lines.
func csvRows(r io.Reader) func() ([]string, int, error) {
	in, next := csv.NewReader(r), 1
	in.FieldsPerRecord = -1
	return func() ([]string, int, error) {
		fields, err := in.Read()
		if err != nil {
			return nil, 0, err
		}
		line, _ := in.FieldPos(0)
		if line > next { // the package passes empty lines over
			return nil, 0, fmt.Errorf("line %d is empty, want a label and one or two sentences", next)
		}
		next = line + 1 + strings.Count(strings.Join(fields, ""), "\n")
		return fields, line, nil
	}
}

// LabelsOf are the labels of a list, in the order of the alphabet.
func LabelsOf(list []Labelled) ([]string, error) {
	var labels []string
	for _, l := range list {
		labels = append(labels, l.Label)
	}
	slices.Sort(labels)
	labels = slices.Compact(labels)
	switch {
	case len(labels) == 1:
		return nil, fmt.Errorf("all lines have the label %q, want two labels or more", labels[0])
	case len(labels) > maxLabels:
		return nil, fmt.Errorf("there are %d labels, want at most %d: is the label in the first column?", len(labels), maxLabels)
	}
	return labels, nil
}

// LabelledCases makes cases of labelled sentences, and says how many had to be cut.
// A label that is not one of labels is an error.
func LabelledCases(t *Tokenizer, list []Labelled, labels []string, maxSeq int) (cases []Case, cut int, err error) {
	for _, l := range list {
		label := slices.Index(labels, l.Label)
		if label < 0 {
			return nil, 0, fmt.Errorf("line %d: the label %q does not come up in training, where the labels are %s", l.Line, l.Label, quoted(labels))
		}
		ids, segments, over := t.Sequence(l.A, l.B, maxSeq)
		if over > 0 {
			cut++
		}
		cases = append(cases, Case{ids, segments, []int32{int32(label)}})
	}
	return cases, cut, nil
}

// quoted lists labels, not too many of them.
func quoted(labels []string) string {
	const most = 12
	s := fmt.Sprintf("%q", labels[:min(most, len(labels))])
	s = s[1 : len(s)-1]
	if len(labels) > most {
		s += fmt.Sprintf(" … (%d)", len(labels))
	}
	return s
}

// Classify returns how probable each label is for each case: (S, C).
func (m *Model) Classify(cases []Case) [][]float32 {
	var all [][]float32
	for i := range cases {
		all = append(all, Softmax(slices.Clone(m.LogitsOf(&cases[i])), 1))
	}
	return all
}

// Confusion is what the model takes for what.
func (m *Model) Confusion(cases []Case) Confusion {
	c := NewConfusion(len(m.Config.Labels()))
	for i, p := range m.Classify(cases) {
		c[cases[i].Labels[0]][argmax(p)]++
	}
	return c
}
