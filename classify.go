package main

import (
	"fmt"
	"slices"
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
		return nil, fmt.Errorf("there are %d labels, want at most %d: is the label in another column? Name it with -label-column", len(labels), maxLabels)
	}
	return labels, nil
}

// LabelledCases makes cases of labelled sentences, and says how many had to be cut.
// A label that is not one of labels is an error.
func LabelledCases(t *Tokenizer, list []Labelled, labels []string, maxSeq int) (cases []Case, cut int, err error) {
	for _, l := range list {
		label := slices.Index(labels, l.Label)
		if label < 0 {
			return nil, 0, fmt.Errorf("line %d: the label %q does not come up in training, where the labels are %s", l.Line, l.Label, QuotedList(labels))
		}
		ids, segments, over := t.Sequence(l.A, l.B, maxSeq)
		if over > 0 {
			cut++
		}
		cases = append(cases, Case{ids, segments, []int32{int32(label)}})
	}
	return cases, cut, nil
}

// QuotedList lists labels, not too many of them.
func QuotedList(labels []string) string {
	const most = 12
	s := fmt.Sprintf("%q", labels[:min(most, len(labels))])
	s = s[1 : len(s)-1]
	if len(labels) > most {
		s += fmt.Sprintf(" … (%d)", len(labels))
	}
	return s
}

// Classify returns how probable each label is for each sequence: (S, C).
func (m *Model) Classify(b *Batch) (all [][]float32) {
	m.NoDropout()
	for logits := range slices.Chunk(m.head.Forward(m.Encode(b), b.Starts), len(m.Config.Labels())) {
		all = append(all, Softmax(slices.Clone(logits), 1))
	}
	return all
}

// Confusion is what the model takes for what.
func (m *Model) Confusion(cases []Case) Confusion {
	c := NewConfusion(len(m.Config.Labels()))
	var b Batch
	for len(cases) > 0 {
		n := 0
		for b.Reset(); n < len(cases) && len(b.Tokens) < PredictedTokens; n++ {
			b.Add(cases[n].Tokens, cases[n].Segments)
		}
		for i, p := range m.Classify(&b) {
			c[cases[i].Labels[0]][argmax(p)]++
		}
		cases = cases[n:]
	}
	return c
}
