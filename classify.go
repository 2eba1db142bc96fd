package main

import (
	"fmt"
	"slices"
)

// Step 8 of the lesson, a task: a label for a sentence or a pair, from the vector of [CLS].
// Here are its head, its cases, its answers and its score.

func init() {
	taskHeads[oneLabel] = func(m *Model) TaskHead { return NewClassifier(m, OneOf()) }
	measures[oneLabel] = measureClasses
	sentenceTasks[oneLabel] = learnOneLabel
}

// Classifier makes C logits for each sequence, by the vector that the pooler makes of its
// [CLS] (Hugging Face's BertForSequenceClassification).
//
//	logits = Linear(dropout(tanh(Linear(x[first]))))
type Classifier struct {
	pooler  *Pooler
	dropout *Dropout
	output  *Linear // (H) → (C)
	loss    func(logits []float32, b *Batch) TaskLoss
}

// NewClassifier makes the head of a model, with the loss of its task.
func NewClassifier(m *Model, loss func(logits []float32, b *Batch) TaskLoss) *Classifier {
	c := &m.Config
	m.pooler = NewPooler(&m.Parameters, c)
	return &Classifier{
		pooler:  m.pooler,
		dropout: m.NewDropout(c.HeadDropout()),
		output:  NewLinear(&m.Parameters, "classifier", c.HiddenSize, c.Outputs()),
		loss:    loss,
	}
}

// Forward: (N, H) → (S, C).
func (l *Classifier) Forward(x []float32, b *Batch) []float32 {
	return l.output.Forward(l.dropout.Forward(l.pooler.Forward(x, b.Starts)))
}

// Loss is that of the task.
func (l *Classifier) Loss(logits []float32, b *Batch) TaskLoss { return l.loss(logits, b) }

// Backward goes through Forward in reverse.
func (l *Classifier) Backward(dlogits, dx []float32) {
	l.pooler.Backward(l.dropout.Backward(l.output.Backward(dlogits)), dx)
}

// OneOf makes the loss where one label out of several is right in each row: −ln p(label).
func OneOf() func(logits []float32, b *Batch) TaskLoss {
	loss := NewCrossEntropy()
	return func(logits []float32, b *Batch) TaskLoss {
		n := len(b.Labels)
		sum, correct := loss.ForwardBackward(logits, b.Labels, 1/float32(n))
		return TaskLoss{sum, n, correct}
	}
}

// classifySeq is the most tokens of a sentence or pair, unless it is given.
const classifySeq = 128

// A Labelled is a sentence, or a pair of them, and its label.
type Labelled struct {
	Label, A, B string // B is "" if there is no second sentence
	Line        int
}

// sentenceTasks learn from a list of labelled sentences what the labels are, which they put
// into the configuration, and return a function that puts what is right for a sentence into
// its case. They are by Config.Task, and each task adds its own.
var sentenceTasks = map[string]func(c *Config, list []Labelled) (put func(c *Case, l *Labelled) error, err error){}

// SentenceCases makes cases of labelled sentences, and says how many had to be cut. An error
// numbers them by unit: lines, or objects.
func SentenceCases(t *Tokenizer, list []Labelled, unit string, put func(c *Case, l *Labelled) error, maxSeq int) (cases []Case, cut int, err error) {
	for i := range list {
		l := &list[i]
		ids, segments, over := t.Sequence(l.A, l.B, maxSeq)
		if over > 0 {
			cut++
		}
		c := Case{Tokens: ids, Segments: segments}
		if err := put(&c, l); err != nil {
			return nil, 0, fmt.Errorf("%s %d: %w", unit, l.Line, err)
		}
		cases = append(cases, c)
	}
	return cases, cut, nil
}

// learnOneLabel is for labels one of which is right, in the order of the alphabet.
func learnOneLabel(c *Config, list []Labelled) (put func(c *Case, l *Labelled) error, err error) {
	var labels []string
	for _, l := range list {
		labels = append(labels, l.Label)
	}
	slices.Sort(labels)
	labels = slices.Compact(labels)
	if len(labels) == 1 {
		return nil, fmt.Errorf("all lines have the label %q, want two labels or more", labels[0])
	}
	c.SetTask(oneLabel, labels)
	put = func(c *Case, l *Labelled) error {
		label, err := NumberOf(l.Label, labels)
		c.Labels = []int32{label}
		return err
	}
	return put, CheckNumberOf(labels)
}

// CheckNumberOf returns an error if there are too many labels.
func CheckNumberOf(labels []string) error {
	if len(labels) > maxLabels {
		return fmt.Errorf("there are %d labels, want at most %d: is the label in another column? Name it with -label-column", len(labels), maxLabels)
	}
	return nil
}

// NumberOf is the number of a label among all of them.
func NumberOf(label string, labels []string) (int32, error) {
	n := slices.Index(labels, label)
	if n < 0 {
		return 0, fmt.Errorf("the label %q does not come up in training, where the labels are %s", label, QuotedList(labels))
	}
	return int32(n), nil
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

// Classify returns for each sequence how probable each label is, or where the task is
// not to find one label out of several, what the logits stand for: (S, C).
func (m *Model) Classify(b *Batch) (all [][]float32) {
	m.NoDropout()
	for logits := range slices.Chunk(m.head.Forward(m.Encode(b), b), m.Config.Outputs()) {
		logits = slices.Clone(logits)
		switch m.Config.Task() {
		case oneLabel:
			Softmax(logits, 1)
		case severalLabels:
			for i, x := range logits {
				logits[i] = logistic(x)
			}
		}
		all = append(all, logits)
	}
	return all
}

// measureClasses counts what is taken for what: the label with the greatest logit is given.
func measureClasses(c *Config, cases []Case, logits [][]float32) Score {
	table := NewConfusion(c.Outputs())
	for i := range cases {
		table[cases[i].Labels[0]][argmax(logits[i])]++
	}
	score := table.ClassScore(c.Labels())
	return &score
}
