package main

import "math/rand/v2"

// Step 2 of the lesson, before the embeddings: what is learnt. A model's tensors, all in
// one list, and the values from which they start.

// A Param is one tensor that is learnt.
type Param struct {
	Name  string    // Hugging Face's
	Shape []int     // (out, in) for a weight, as in PyTorch
	Value []float32 // a part of Parameters.Value
	Grad  []float32 // a part of Parameters.Grad
	Decay bool      // weight decay shrinks it a little in each step: matrices, not biases or gains
	Fill  float32   // where a vector starts: 1 for a gain, 0 for a bias
}

// Parameters are a model's tensors, in the order in which its layers made them.
// The values of all lie one after the other, and so do the gradients; whatever
// treats all alike (optimizer, norm, checkpoint, count) is a loop over List.
type Parameters struct {
	List  []*Param
	Value []float32
	Grad  []float32
}

// Matrix, Gain and Bias add a parameter to the list. It has values once
// Allocate has been called.
func (ps *Parameters) Matrix(name string, out, in int) *Param {
	return ps.add(&Param{Name: name, Shape: []int{out, in}, Decay: true})
}

func (ps *Parameters) Gain(name string, n int) *Param {
	return ps.add(&Param{Name: name, Shape: []int{n}, Fill: 1})
}

func (ps *Parameters) Bias(name string, n int) *Param {
	return ps.add(&Param{Name: name, Shape: []int{n}})
}

func (ps *Parameters) add(p *Param) *Param {
	ps.List = append(ps.List, p)
	return p
}

// Size is the number of floats of p.
func (p *Param) Size() int {
	n := 1
	for _, d := range p.Shape {
		n *= d
	}
	return n
}

// Allocate makes the two blocks and gives each parameter its parts.
func (ps *Parameters) Allocate() {
	total := 0
	for _, p := range ps.List {
		total += p.Size()
	}
	ps.Value, ps.Grad = make([]float32, total), make([]float32, total)
	at := 0
	for _, p := range ps.List {
		end := at + p.Size()
		p.Value, p.Grad = ps.Value[at:end:end], ps.Grad[at:end:end]
		at = end
	}
}

// Initialize gives every parameter the value it starts from: matrices a normal
// distribution of standard deviation sigma that is cut off at 2·sigma (Google's
// BERT), gains 1, biases 0.
func (ps *Parameters) Initialize(seed uint64, sigma float32) {
	parallel(len(ps.List), 1, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			ps.InitializeOne(i, seed, sigma)
		}
	})
}

// InitializeOne does so with parameter i alone.
func (ps *Parameters) InitializeOne(i int, seed uint64, sigma float32) {
	p, r := ps.List[i], random(seed, forWeights, uint64(i))
	for j := range p.Value {
		p.Value[j] = p.Fill
		if len(p.Shape) == 2 {
			p.Value[j] = sigma * truncatedNormal(r)
		}
	}
}

// truncatedNormal draws from the part of the normal distribution between −2 and
// 2: a uniform x is kept with the probability e^(−x²/2).
func truncatedNormal(r *rand.Rand) float32 {
	for {
		x := float32(4*r.Float32()) - 2
		if r.Float32() < exp(-0.5*x*x) {
			return x
		}
	}
}

// Row and GradRow are row i of a matrix and of its gradient.
func (p *Param) Row(i int32) []float32 {
	w := p.Shape[1]
	return p.Value[int(i)*w:][:w]
}

func (p *Param) GradRow(i int32) []float32 {
	w := p.Shape[1]
	return p.Grad[int(i)*w:][:w]
}
