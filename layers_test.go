package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"testing"
)

// differences checks a backward against central differences of its own forward.
// The loss is Σ w·y for random w, so the gradient by y is w. For every input and
// parameter v, backward's gradient has to be (loss(v+h) − loss(v−h))/2h.
//
//	forward computes y from the inputs
//	backward gets the gradient of y and returns those of the inputs
func differences(t *testing.T, name string, params []*Param, inputs [][]float32, forward func() []float32, backward func(dy []float32) [][]float32) {
	t.Helper()
	r := rand.New(rand.NewPCG(7, 7))
	y := forward()
	w := make([]float32, len(y))
	for i := range w {
		w[i] = float32(r.NormFloat64())
	}
	loss := func() float64 {
		sum := 0.0
		for i, v := range forward() {
			sum += float64(w[i]) * float64(v)
		}
		return sum
	}
	for _, p := range params {
		clear(p.Grad)
	}
	forward()
	gradients := backward(append([]float32(nil), w...))
	for i := range gradients {
		gradients[i] = append([]float32(nil), gradients[i]...)
		compareDifferences(t, fmt.Sprintf("%s: input %d", name, i), inputs[i], gradients[i], loss)
	}
	for _, p := range params {
		compareDifferences(t, name+": "+p.Name, p.Value, p.Grad, loss)
	}
}

// compareDifferences compares a gradient with central differences. Where both are
// 0 by nature, as for the bias of a key, which a softmax does not see, only
// rounding errors are left to compare; they are small beside 1.
func compareDifferences(t *testing.T, name string, values, gradient []float32, loss func() float64) {
	t.Helper()
	const h = 4e-3
	greatest, numeric := 1e-2, make([]float32, len(values))
	if strings.HasSuffix(name, "key.bias") {
		greatest = 1
	}
	for i, v := range values {
		values[i] = v + h
		up, above := loss(), values[i]
		values[i] = v - h
		down, below := loss(), values[i]
		values[i] = v
		numeric[i] = float32((up - down) / float64(above-below))
		greatest = max(greatest, math.Abs(float64(numeric[i])))
	}
	compare(t, name+": backward's gradient", gradient, numeric, greatest, 2e-3, "the forward's differences say")
}

// The backward of every layer is the derivative of its forward.
func TestBackwardsAreDerivatives(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 6))
	floats := func(n int) []float32 {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(r.NormFloat64())
		}
		return x
	}
	const n, h = 13, 20 // rows, columns
	ps := &Parameters{}
	c := smallModel(t).Config
	dropout := func(*float64) *Dropout {
		d := NewDropout(nil, 1)
		d.Set(0.3, 5, 1) // the same coins in each forward
		return d
	}
	linear, norm := NewLinear(ps, "linear", h, 7), NewLayerNorm(ps, "norm", h, 1e-12)
	output := newOutput(ps, "output.", 7, &c, dropout(nil))
	embeddings := NewEmbeddings(ps, &c, dropout(nil))
	attention := newAttention(ps, "attention.", &c, dropout(nil))
	layer := NewEncoderLayer(ps, "layer.", &c, dropout)
	pooler, mlm := NewPooler(ps, &c), newMLMHead(ps, &c, embeddings.Word)
	ps.Allocate()
	for i := range ps.Value {
		ps.Value[i] = 0.4 * float32(r.NormFloat64())
	}
	named := func(prefix string) (list []*Param) {
		for _, p := range ps.List {
			if len(p.Name) > len(prefix) && p.Name[:len(prefix)] == prefix {
				list = append(list, p)
			}
		}
		return list
	}

	x, sub := floats(n*h), floats(n*7)
	starts := []int{0, 5, 6, n}
	rows := []int{0, 3, 8}
	one := func(dx []float32) [][]float32 { return [][]float32{dx} }
	zero := func() []float32 { return make([]float32, n*h) }

	differences(t, "Linear", named("linear"), [][]float32{x}, func() []float32 { return linear.Forward(x) },
		func(dy []float32) [][]float32 { return one(linear.Backward(dy)) })
	differences(t, "LayerNorm", named("norm"), [][]float32{x}, func() []float32 { return norm.Forward(x) },
		func(dy []float32) [][]float32 { return one(norm.Backward(dy)) })
	differences(t, "Output", named("output"), [][]float32{x, sub}, func() []float32 { return output.Forward(x, sub) },
		func(dy []float32) [][]float32 { dx, dsub := output.Backward(dy); return [][]float32{dx, dsub} })
	for name := range ActivationFunctions {
		activation := NewActivation(name)
		differences(t, name, nil, [][]float32{x}, func() []float32 { return activation.Forward(x) },
			func(dy []float32) [][]float32 { return one(activation.Backward(dy)) })
	}
	tanh := func() []float32 { return TanhForward(append([]float32(nil), x...)) }
	differences(t, "tanh", nil, [][]float32{x}, tanh, func(dy []float32) [][]float32 { return one(TanhBackward(dy, tanh())) })

	batch := &Batch{Starts: starts}
	for i := range n {
		batch.Tokens = append(batch.Tokens, int32(r.IntN(c.VocabSize)))
		batch.Segments = append(batch.Segments, int32(r.IntN(2)))
		batch.Positions = append(batch.Positions, int32(i%7))
	}
	differences(t, "Embeddings", named("bert.embeddings"), nil, func() []float32 { return embeddings.Forward(batch) },
		func(dy []float32) [][]float32 { embeddings.Backward(dy); return nil })
	differences(t, "Attention", named("attention"), [][]float32{x}, func() []float32 { return attention.Forward(x, starts) },
		func(dy []float32) [][]float32 { dx := zero(); attention.Backward(dy, dx); return one(dx) })
	differences(t, "EncoderLayer", named("layer"), [][]float32{x}, func() []float32 { return layer.Forward(x, starts) },
		func(dy []float32) [][]float32 { return one(layer.Backward(dy)) })
	differences(t, "Pooler", named("bert.pooler"), [][]float32{x}, func() []float32 { return pooler.Forward(x, starts) },
		func(dy []float32) [][]float32 { dx := zero(); pooler.Backward(dy, dx); return one(dx) })
	differences(t, "MLMHead", append(named("cls.predictions"), embeddings.Word), [][]float32{x}, func() []float32 { return mlm.Forward(x, rows) },
		func(dy []float32) [][]float32 { dx := zero(); mlm.Backward(dy, dx); return one(dx) })
}

// The gradient that the loss leaves in the logits is its derivative.
func TestCrossEntropyIsDerivative(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	const rows, classes = 5, 19
	logits, labels := make([]float32, rows*classes), []int32{0, 18, 7, 7, 3}
	for i := range logits {
		logits[i] = 2 * float32(r.NormFloat64())
	}
	l := NewCrossEntropy()
	loss := func() float64 {
		sum, _ := l.ForwardBackward(append([]float32(nil), logits...), labels, 1)
		return sum / rows
	}
	gradient := append([]float32(nil), logits...)
	sum, correct := l.ForwardBackward(gradient, labels, 1.0/rows)
	compareDifferences(t, "CrossEntropy", logits, gradient, loss)

	want, best := 0.0, 0
	for i, label := range labels {
		row, total, first := logits[i*classes:][:classes], 0.0, true
		for _, v := range row {
			total += math.Exp(float64(v))
			first = first && v <= row[label]
		}
		want += math.Log(total) - float64(row[label])
		if first {
			best++
		}
	}
	if math.Abs(sum-want) > 1e-5 || correct != best {
		t.Errorf("the loss is %v with %d right, want %v with %d", sum, correct, want, best)
	}
}

// Whatever the scores, a softmax is numbers that add up to 1: the greatest score is taken
// away from all first, so that no power is too large for a float32. So is the loss finite.
func TestSoftmaxOfLargeScores(t *testing.T) {
	equal(t, Softmax([]float32{1000, 1000, -1000}, 1), []float32{0.5, 0.5, 0}, "the softmax of 1000, 1000, -1000")
	equal(t, Softmax([]float32{-500, -500}, 0.5), []float32{0.5, 0.5}, "the softmax of -500, -500")
	loss, _ := NewCrossEntropy().ForwardBackward([]float32{300, 0}, []int32{1}, 1)
	equal(t, loss, 300.0, "the loss where the right label has 300 less than another")
}

// The derivative of the whole: model, loss and all, with dropout.
func TestModelBackwardIsDerivative(t *testing.T) {
	m := smallModel(t)
	m.Config.HiddenDropout, m.Config.AttentionDropout = 0.1, 0.2
	m.SetDropout(3, 4)
	b := &Batch{}
	b.Reset()
	b.AddExample(Example{Tokens: []int32{2, 7, 4, 9, 3, 8, 3}, Segments: []int32{0, 0, 0, 0, 0, 1, 1}, Targets: []int32{2, 5}, Labels: []int32{8, 11}, NextLabel: 1})
	b.AddExample(Example{Tokens: []int32{2, 4, 3, 9, 10, 3}, Segments: []int32{0, 0, 0, 1, 1, 1}, Targets: []int32{1}, Labels: []int32{30}})
	loss := func() float64 {
		m.Forward(b)
		s := m.Loss(b)
		return s.MLMLoss/float64(s.MLMCount) + s.NSPLoss/float64(s.NSPCount)
	}
	loss()
	clear(m.Grad)
	m.Backward()
	for _, p := range m.List {
		gradient := append([]float32(nil), p.Grad...)
		compareDifferences(t, p.Name, p.Value, gradient, loss)
	}
}

// Dropout drops a share p of the elements, other ones in each step and place,
// and keeps the mean.
func TestDropout(t *testing.T) {
	const n = 100000
	ones, first, second := make([]float32, n), make([]float32, n), make([]float32, n)
	for i := range ones {
		ones[i] = 1
	}
	d := NewDropout(new(float64), 2)
	for _, p := range []float64{0.05, 0.1, 0.5} {
		d.Set(p, 1, 10)
		d.Apply(first, ones, 0)
		d.Set(p, 1, 11)
		d.Apply(second, ones, 0)
		dropped, both, sum := 0, 0, 0.0
		for i := range first {
			if first[i] == 0 {
				dropped++
				if second[i] == 0 {
					both++
				}
			}
			sum += float64(first[i])
		}
		deviation := math.Sqrt(n * p * (1 - p))
		if math.Abs(float64(dropped)-n*p) > 4*deviation || math.Abs(float64(both)-n*p*p) > 4*math.Sqrt(n*p*p) || math.Abs(sum/n-1) > 0.02 {
			t.Errorf("p = %v: %d of %d dropped, %d of them again in the next step, mean %v", p, dropped, n, both, sum/n)
		}
	}
	d.Set(0.3, 1, 1)
	d.Apply(first, ones, 0)
	d.Apply(second[100:], ones[100:], 100)
	equal(t, second[100:], first[100:]) // a part has the coins of the whole
}

// A training step allocates nothing once the largest batch has been seen.
func TestStepDoesNotAllocate(t *testing.T) {
	trainer, _ := demoTrainer(t)
	trainer.optimizer = NewAdamW(&trainer.Model.Parameters, &trainer.Settings)
	_, _, err := trainer.Step(1e-3)
	check(t, err)
	m, b := trainer.Model, &trainer.batch
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // which would empty the pool of benches
	if n := testing.AllocsPerRun(5, func() {
		m.SetDropout(1, 1)
		m.Forward(b)
		m.Loss(b)
		m.Backward()
		trainer.optimizer.Step(1e-3, trainer.optimizer.Norm())
	}); n >= 1 {
		t.Errorf("a step allocates %v times", n)
	}
}
