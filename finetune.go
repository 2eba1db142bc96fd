package main

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// Step 8 of the lesson: transfer, the reason for pre-training. What a model has learnt
// from text that nobody labelled serves other tasks. Its encoder is taken over, the two
// pre-training heads give way to a small new one for the task, and the model is trained a
// little on few labelled examples (BERT paper, sections 3.2 and 5.3). There are two ways:
//
//	fine-tuning         all of the model is trained, so that the encoder comes to see
//	                    what the task asks for
//	feature extraction  the encoder stays as it is (Freeze), and only the head learns
//	                    from its vectors
//
// Which is better depends on what the vectors show already. The demo's topics can be
// read from them, so that the frozen encoder does best: nothing is to be won by moving
// it, and from few labels a head that is still random pulls it away from what it knew.
// Who has what after "Tom gives Hugo a map." (testdata/has.tsv) they do not show: there
// feature extraction stays at chance, and with some hundred labels fine-tuning gets 95%
// right. One rarely knows beforehand, and BERT's way is fine-tuning. study.go compares
// the two.

// KeepsHead tells whether a model with the second configuration goes on with the head of the first.
func KeepsHead(from, to *Config) bool {
	return from.Task() == to.Task() && maps.Equal(from.ID2Label, to.ID2Label)
}

// Transfer makes a model with this configuration out of a trained one. The encoder is
// taken over; the head starts with random weights, drawn by the seed, unless the
// trained model already has a head for the same labels, which is then trained further.
// The pooler belongs to the head, so that Freeze trains it; withPooler takes it over,
// as Google and Hugging Face always do. It has learnt to see two sentences together,
// and for single ones a new one does better.
func Transfer(from *Model, c Config, seed uint64, withPooler bool) (*Model, error) {
	m, err := NewModel(c, seed)
	if err != nil {
		return nil, err
	}
	trained := map[string]*Param{}
	for _, p := range from.List {
		trained[p.Name] = p
	}
	same := KeepsHead(&from.Config, &c)
	head := m.headParameters().List
	for _, p := range m.List {
		isPooler := strings.HasPrefix(p.Name, "bert.pooler.")
		if old := trained[p.Name]; old != nil && (same || !slices.Contains(head, p) || withPooler && isPooler) {
			copy(p.Value, old.Value)
		}
	}
	return m, nil
}

// Settings of fine-tuning, for some hundred examples. The paper has many more, goes
// through them 2 to 4 times, and takes batches of 16 or 32 and rates of 2e-5 to 5e-5.
const (
	tuneEpochs  = 20
	tuneDropout = 0.1
)

// TuneSettings are what fine-tuning begins with.
func TuneSettings() Settings {
	s := DefaultSettings()
	s.Batch = 8
	return s
}

// TuneRate is the learning rate for a hidden size: large models take small steps.
// It is 2e-3 for the demo's 64, and the paper's 3e-5 from 512 on.
func TuneRate(hidden int) float64 {
	return max(8/float64(hidden*hidden), 3e-5)
}

// A Case is a sequence and what is right for it. Which of the last three it has depends
// on the task; they come into the fields of Batch that have the same names.
type Case struct {
	Tokens, Segments []int32
	Targets          []int   // those of its tokens that have a label each
	Labels           []int32 // the labels' numbers, or at which tokens the answer begins and ends
	Values           []float32
}

// AddCase appends a case to the batch.
func (b *Batch) AddCase(c *Case) {
	for _, at := range c.Targets {
		b.Targets = append(b.Targets, len(b.Tokens)+at)
	}
	b.Add(c.Tokens, c.Segments)
	b.Labels, b.Values = append(b.Labels, c.Labels...), append(b.Values, c.Values...)
}

// A Tuner trains a model with a head. It is not the Trainer of pre-training: that goes by
// steps through a stream that does not end; this one goes a few times through a few cases
// (each time is an epoch), and keeps the model of the best epoch. The step is the same,
// but one without a finite gradient is an error at once.
type Tuner struct {
	Model    *Model
	Cases    []Case
	Settings Settings // all but Steps and Warmup, which follow from the epochs
	Epochs   int
	Freeze   bool // train the head alone

	// Evaluate says after each epoch how good the model is on what it is not
	// trained on. The best epoch is kept, of equally good ones the last. Without
	// Evaluate it is the last of all.
	Evaluate func() float64
	OnEpoch  func(Epoch) error // may be nil

	optimizer *AdamW
	batch     Batch
	step      int
}

// An Epoch is how an epoch went: a line of metrics.jsonl.
type Epoch struct {
	Epoch    int     `json:"epoch"` // from 1
	Loss     float64 `json:"loss"`  // means over the epoch's training
	Accuracy float64 `json:"accuracy"`
	Score    float64 `json:"score"` // held out
	Best     bool    `json:"best"`
}

// headParameters are the parameters from the pooler on: all that comes after the
// encoder.
func (m *Model) headParameters() *Parameters {
	at := 0
	for _, p := range m.List[:m.encoderParams] {
		at += p.Size()
	}
	return &Parameters{List: m.List[m.encoderParams:], Value: m.Value[at:], Grad: m.Grad[at:]}
}

// SetSteps works out what follows from the epochs.
func (t *Tuner) SetSteps() {
	s := &t.Settings
	perEpoch := (len(t.Cases) + s.Batch - 1) / s.Batch
	s.Steps, s.Warmup = perEpoch*t.Epochs, perEpoch*t.Epochs/10
}

// Train trains for all epochs. If ctx ends, it leaves the epoch that it is in and returns
// errInterrupted. Either way the model is then that of the best epoch so far.
func (t *Tuner) Train(ctx context.Context) error {
	s := &t.Settings
	t.SetSteps()
	trained := &t.Model.Parameters
	if t.Freeze {
		trained = t.Model.headParameters()
	}
	t.optimizer = NewAdamW(trained, s)
	best, bestScore := slices.Clone(t.Model.Value), math.Inf(-1)
	defer func() { copy(t.Model.Value, best) }()
	for epoch := 1; epoch <= t.Epochs; epoch++ {
		var r Epoch
		var err error
		left := leavable(ctx.Done(), func() {
			if r, err = t.epoch(epoch); err == nil && t.Evaluate != nil {
				r.Score = t.Evaluate()
			}
		})
		if left {
			return errInterrupted
		} else if err != nil {
			return err
		}
		if r.Best = !(r.Score < bestScore); r.Best {
			copy(best, t.Model.Value)
			bestScore = r.Score
		}
		if t.OnEpoch != nil {
			if err := t.OnEpoch(r); err != nil {
				return err
			}
		}
	}
	return nil
}

// epoch goes once through the cases, in an order of its own.
func (t *Tuner) epoch(epoch int) (Epoch, error) {
	r, sum := Epoch{Epoch: epoch}, TaskLoss{}
	order := random(t.Settings.Seed, forOrder, uint64(epoch)).Perm(len(t.Cases))
	for which := range slices.Chunk(order, t.Settings.Batch) {
		loss, err := t.Step(which)
		if err != nil {
			return r, err
		}
		sum = TaskLoss{sum.Sum + loss.Sum, sum.Count + loss.Count, sum.Correct + loss.Correct}
	}
	r.Loss, r.Accuracy = ratio(sum.Sum, sum.Count), ratio(float64(sum.Correct), sum.Count)
	return r, nil
}

// Step takes one step on these cases, as Trainer.Step does in pre-training. A
// frozen encoder gets no gradient.
func (t *Tuner) Step(which []int) (loss TaskLoss, err error) {
	m, s, b := t.Model, &t.Settings, &t.batch
	b.Reset()
	for _, i := range which {
		b.AddCase(&t.Cases[i])
	}
	m.SetDropout(s.Seed, t.step)
	clear(m.Grad)

	logits := m.head.Forward(m.Encode(b), b)
	loss = m.head.Loss(logits, b)
	dx := m.ZeroGradient()
	m.head.Backward(logits, dx)
	if !t.Freeze {
		m.EncodeBackward(dx)
	}

	norm := t.optimizer.Norm()
	if !finite(norm) {
		return loss, fmt.Errorf("step %d: the gradient's norm is %v: is -lr %v too high?", t.step+1, norm, s.LearningRate)
	}
	t.optimizer.Step(s.Rate(t.step), norm)
	t.step++
	return loss, nil
}

// LogitsOf are the logits of each case, without dropout: a row for the sequence, for each
// of its targets, or for each token.
func (m *Model) LogitsOf(cases []Case) (all [][]float32) {
	m.NoDropout()
	var b Batch
	for len(cases) > 0 {
		n := 0
		for b.Reset(); n < len(cases) && len(b.Tokens) < PredictedTokens; n++ {
			b.AddCase(&cases[n])
		}
		logits := m.head.Forward(m.Encode(&b), &b)
		for i := range cases[:n] {
			size := m.Config.Outputs()
			switch c := &cases[i]; m.Config.Architecture() {
			case tagging:
				size *= len(c.Targets)
			case answering:
				size *= len(c.Tokens)
			}
			all = append(all, slices.Clone(logits[:size]))
			logits = logits[size:]
		}
		cases = cases[n:]
	}
	return all
}
