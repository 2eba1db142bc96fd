package main

import "math"

// Step 6 of the lesson, the optimizer: from gradients to the next parameters.

// AdamW moves each parameter p by the running mean m of its gradient g over the root of the
// running mean v of g², so that all move at a like pace; and it shrinks matrices a little,
// whatever their gradient (Loshchilov and Hutter, "Decoupled Weight Decay Regularization";
// PyTorch's AdamW). In step t,
//
//	g = g·min(1, 1/‖g‖)                        clipping: the norm is over all parameters
//	m = β₁·m + (1−β₁)·g      v = β₂·v + (1−β₂)·g²
//	m̂ = m/(1−β₁ᵗ)            v̂ = v/(1−β₂ᵗ)     both begin with 0, which this makes up for
//	p = p − rate·m̂/(√v̂ + ε) − rate·decay·p
//
// m and v are called the first and the second moment. Google's BERT uses
// them as they are, without this correction.
type AdamW struct {
	Beta1, Beta2, WeightDecay float64

	steps         int       // so far
	first, second []float32 // moments, of the shape of Parameters.Value
	chunks        []chunk
	squares       []float64 // Σ gradient², chunk by chunk
	constants     adamwConstants
	decayed       adamwConstants // the same for parameters that decay

	square, update func(lo, hi int)
}

// A chunk is a part of a parameter that is worked on at a time.
type chunk struct {
	value, grad, first, second []float32
	decay                      bool
}

// chunkSize is the most floats of a chunk.
const chunkSize = 1 << 14

const adamEpsilon = 1e-6 // ε, as in Google's BERT

const maxNorm = 1 // to which the gradient is clipped

// NewAdamW makes an optimizer that has not taken a step.
func NewAdamW(ps *Parameters, s *Settings) *AdamW {
	a := &AdamW{
		Beta1: s.Beta1, Beta2: s.Beta2, WeightDecay: s.WeightDecay,
		first: make([]float32, len(ps.Value)), second: make([]float32, len(ps.Value)),
	}
	at := 0
	for _, p := range ps.List {
		for end := at + len(p.Value); at < end; {
			next := min(at+chunkSize, end)
			a.chunks = append(a.chunks, chunk{ps.Value[at:next], ps.Grad[at:next], a.first[at:next], a.second[at:next], p.Decay})
			at = next
		}
	}
	a.squares = make([]float64, len(a.chunks))
	a.square, a.update = a.squareChunks, a.updateChunks
	return a
}

// Norm is the length of the gradient of all parameters together.
func (a *AdamW) Norm() float64 {
	parallel(len(a.chunks), 1, a.square)
	sum := 0.0
	for _, s := range a.squares {
		sum += s
	}
	return math.Sqrt(sum)
}

func (a *AdamW) squareChunks(lo, hi int) {
	for i := lo; i < hi; i++ {
		a.squares[i] = float64(kernels.squares(a.chunks[i].grad, 0))
	}
}

// Step updates the parameters. A gradient whose norm is above maxNorm is scaled down to it,
// and as in PyTorch a little below.
func (a *AdamW) Step(rate, norm float64) {
	a.steps++
	clip := 1.0
	if norm > maxNorm {
		clip = maxNorm / (norm + 1e-6)
	}
	a.constants = adamwConstants{
		beta1: float32(a.Beta1), rest1: float32(1 - a.Beta1),
		beta2: float32(a.Beta2), rest2: float32(1 - a.Beta2),
		clip:    float32(clip),
		root:    float32(1 / math.Sqrt(1-power(a.Beta2, a.steps))),
		epsilon: adamEpsilon,
		rate:    float32(rate / (1 - power(a.Beta1, a.steps))),
		shrink:  1,
	}
	a.decayed = a.constants
	a.decayed.shrink = float32(1 - float64(rate*a.WeightDecay))
	parallel(len(a.chunks), 1, a.update)
}

func (a *AdamW) updateChunks(lo, hi int) {
	for _, k := range a.chunks[lo:hi] {
		c := &a.constants
		if k.decay {
			c = &a.decayed
		}
		kernels.adamw(k.value, k.grad, k.first, k.second, c)
	}
}

// Moments are the optimizer's two numbers for each parameter, as tensors of the
// parameters' shapes. They lie in first and second, and are saved with the model,
// so that training goes on from a checkpoint as if it had not stopped.
func (a *AdamW) Moments(ps *Parameters) []*Param {
	var list []*Param
	for _, m := range []struct {
		prefix string
		values []float32
	}{{"first.", a.first}, {"second.", a.second}} {
		at := 0
		for _, p := range ps.List {
			list = append(list, &Param{Name: m.prefix + p.Name, Shape: p.Shape, Value: m.values[at:][:p.Size()]})
			at += p.Size()
		}
	}
	return list
}
