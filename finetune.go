package main

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// Step 8 of the lesson: transfer, the reason for pre-training. What a model has
// learnt from text that nobody labelled serves other tasks: its encoder is taken
// over, the two pre-training heads give way to a small new one, and all of it is
// trained a little on few labelled examples (BERT paper, section 3.2). Here are
// the heads of two tasks and the loop that trains them:
//
//	classification  a label for a sentence or a pair, from the vector of [CLS]
//	answering       where the answer to a question begins and ends in a context

// A head makes the logits of a task from what the encoder has made of a batch.
type head interface {
	// Forward: (N, H) → the logits.
	Forward(x []float32, starts []int) []float32
	// Loss compares the logits with the labels of all sequences, one after the
	// other, and replaces them by the gradient of the mean loss. It returns the
	// sum of the losses, and how many sequences are right.
	Loss(labels []int32) (loss float64, correct int)
	// Backward adds to the gradient of x, dx (N, H).
	Backward(dx []float32)
	// first is the first of the parameters after the encoder.
	first() *Param
}

// newHead gives the model the head of its architecture.
func (m *Model) newHead() {
	c := &m.Config
	if c.architecture() == answering {
		m.head = newAnswerHead(&m.Parameters, c)
		return
	}
	m.pooler = newPooler(&m.Parameters, c)
	m.head = newClassifier(&m.Parameters, c, m.pooler, m.newDropout())
}

// transfer makes a model with this configuration out of a trained one: the
// encoder is taken over, the head starts from chance, by the seed. withPooler
// takes over the pooler too, which has learnt to see two sentences together; for
// single sentences a new one does better. A head for the same labels is gone on
// with.
func transfer(from *Model, c Config, seed uint64, withPooler bool) (*Model, error) {
	m, err := NewModel(c, seed)
	if err != nil {
		return nil, err
	}
	trained := map[string]*Param{}
	for _, p := range from.List {
		trained[p.Name] = p
	}
	same := from.Config.architecture() == c.architecture() && maps.Equal(from.Config.ID2Label, c.ID2Label)
	head := m.headParameters().List
	for _, p := range m.List {
		isPooler := strings.HasPrefix(p.Name, "bert.pooler.")
		if old := trained[p.Name]; old != nil && (same || !slices.Contains(head, p) || withPooler && isPooler) {
			copy(p.Value, old.Value)
		}
	}
	return m, nil
}

// What fine-tuning begins with, for some hundred examples. In the paper it is the
// same but for the rate and the number of epochs, 2 to 4 of many more examples.
const (
	tuneEpochs  = 20
	tuneDropout = 0.1
)

func tuneSettings() Settings {
	s := defaultSettings()
	s.Batch = 8
	return s
}

// tuneRate is the learning rate for a hidden size: what is large takes small steps.
// It is 2e-3 for the demo's 64, and the paper's 3e-5 from 512 on.
func tuneRate(hidden int) float64 {
	return max(8/float64(hidden*hidden), 3e-5)
}

// A Case is a sequence and what is right for it: the number of its label, or the
// tokens at which the answer begins and ends.
type Case struct {
	Tokens, Segments []int32
	Labels           []int32
}

// addCases replaces the batch by these cases and returns their labels.
func (b *Batch) addCases(cases []Case, which []int) (labels []int32) {
	b.Reset()
	for _, i := range which {
		c := &cases[i]
		b.Add(Example{Tokens: c.Tokens, Segments: c.Segments})
		labels = append(labels, c.Labels...)
	}
	return labels
}

// A Tuner trains a model with a head. It is not the Trainer of pre-training:
// that goes by steps through a stream that does not end, and this by epochs
// through a few cases, of which it keeps the best. The step is the same.
type Tuner struct {
	Model    *Model
	Cases    []Case
	Settings Settings // all but Steps and Warmup, which follow from the epochs
	Epochs   int
	Freeze   bool // train the head alone

	// Score says after each epoch how good the model is on what it is not trained
	// on. The best epoch is kept, of equally good ones the last. Without Score it
	// is the last of all.
	Score  func() float64
	Report func(EpochReport) error // may be nil

	optimizer *AdamW
	batch     Batch
	step      int
}

// An EpochReport tells how an epoch went.
type EpochReport struct {
	Epoch    int     `json:"epoch"` // from 1
	Loss     float64 `json:"loss"`  // means over the epoch's training
	Accuracy float64 `json:"accuracy"`
	Score    float64 `json:"score"` // held out
	Best     bool    `json:"best"`
}

// headParameters are the parameters from the pooler on: all that comes after the
// encoder.
func (m *Model) headParameters() *Parameters {
	i, at := 0, 0
	for ; m.List[i] != m.head.first(); i++ {
		at += m.List[i].size()
	}
	return &Parameters{List: m.List[i:], Value: m.Value[at:], Grad: m.Grad[at:]}
}

// Train trains for all epochs. If ctx ends, it stops after the step and returns
// errInterrupted. Either way the model is then that of the best epoch so far.
func (t *Tuner) Train(ctx context.Context) error {
	s := &t.Settings
	perEpoch := (len(t.Cases) + s.Batch - 1) / s.Batch
	s.Steps, s.Warmup = perEpoch*t.Epochs, perEpoch*t.Epochs/10
	trained := &t.Model.Parameters
	if t.Freeze {
		trained = t.Model.headParameters()
	}
	t.optimizer = newAdamW(trained, s)
	best, bestScore := slices.Clone(t.Model.Value), math.Inf(-1)
	defer func() { copy(t.Model.Value, best) }()
	for epoch := 1; epoch <= t.Epochs; epoch++ {
		r, err := t.epoch(ctx, epoch)
		if err != nil {
			return err
		}
		if t.Score != nil {
			r.Score = t.Score()
		}
		if r.Best = r.Score >= bestScore; r.Best {
			copy(best, t.Model.Value)
			bestScore = r.Score
		}
		if t.Report != nil {
			if err := t.Report(r); err != nil {
				return err
			}
		}
	}
	return nil
}

// epoch goes once through the cases, in an order of its own.
func (t *Tuner) epoch(ctx context.Context, epoch int) (EpochReport, error) {
	r := EpochReport{Epoch: epoch}
	order := random(t.Settings.Seed, forOrder, uint64(epoch)).Perm(len(t.Cases))
	for which := range slices.Chunk(order, t.Settings.Batch) {
		loss, correct, err := t.Step(which)
		if err != nil {
			return r, err
		}
		r.Loss += loss / float64(len(order))
		r.Accuracy += float64(correct) / float64(len(order))
		if ctx.Err() != nil {
			return r, errInterrupted
		}
	}
	return r, nil
}

// Step takes one step on these cases, as Trainer.Step does in pre-training. A
// frozen encoder gets no gradient.
func (t *Tuner) Step(which []int) (loss float64, correct int, err error) {
	m, s := t.Model, &t.Settings
	labels := t.batch.addCases(t.Cases, which)
	m.SetDropout(s.Seed, t.step)
	clear(m.Grad)

	m.head.Forward(m.encode(&t.batch), t.batch.Starts)
	loss, correct = m.head.Loss(labels)
	dx := m.zeroGradient()
	m.head.Backward(dx)
	if !t.Freeze {
		m.encodeBackward(dx)
	}

	norm := t.optimizer.Norm()
	if math.IsNaN(norm) || math.IsInf(norm, 0) {
		return loss, correct, fmt.Errorf("step %d: the gradient's norm is %v: is -lr %v too high?", t.step+1, norm, s.LearningRate)
	}
	t.optimizer.Step(s.Rate(t.step), norm)
	t.step++
	return loss, correct, nil
}

// eachLogits calls use with each case's logits in turn, without dropout: C of a
// classifier, 2 for each of T tokens of an AnswerHead.
func (m *Model) eachLogits(cases []Case, use func(i int, logits []float32)) {
	m.NoDropout()
	var b Batch
	for i := range cases {
		b.addCases(cases, []int{i})
		use(i, m.head.Forward(m.encode(&b), b.Starts))
	}
}
