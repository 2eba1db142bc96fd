package main

import "math"

// Step 3 of the lesson: the encoder. Each layer lets every token look at every
// other token of its sequence, to the left and to the right (the B of BERT),
// and then works on each token by itself.

// Attention is multi-head scaled dot-product self-attention (Hugging Face's
// BertSelfAttention). From each token it makes a query, a key and a value. In
// each of A heads, which sees D = H/A of their floats, a token gathers the
// values of all tokens, weighted by how well its query fits their keys:
//
//	scores = q·kᵀ/√D    probs = softmax(scores)    context = dropout(probs)·v
//
// One head of one sequence of T tokens is one task for a worker.
type Attention struct {
	heads, size       int     // A, D
	scale             float32 // 1/√D
	query, key, value *Linear
	dropout           *Dropout

	starts  []int     // where each sequence begins; at the end N
	blocks  []int     // where each sequence's (A, T, T) begins in probs
	probs   []float32 // (A, T, T) of each sequence
	work    []float32 // (A, T, T) of each sequence: probs after dropout, dscores
	context []float32 // (N, H)

	dcontext   []float32 // (N, H)
	dq, dk, dv []float32 // (N, H)

	forward, backward func(lo, hi int)
}

func newAttention(ps *Parameters, name string, c *Config, dropout *Dropout) *Attention {
	h, d := c.HiddenSize, c.HiddenSize/c.NumAttentionHeads
	a := &Attention{
		heads:   c.NumAttentionHeads,
		size:    d,
		scale:   1 / float32(math.Sqrt(float64(d))),
		query:   newLinear(ps, name+"query", h, h),
		key:     newLinear(ps, name+"key", h, h),
		value:   newLinear(ps, name+"value", h, h),
		dropout: dropout,
	}
	a.forward, a.backward = a.forwardHeads, a.backwardHeads
	return a
}

// Forward: (N, H) → (N, H). Sequence s is the rows starts[s] to starts[s+1].
func (a *Attention) Forward(x []float32, starts []int) []float32 {
	a.query.Forward(x)
	a.key.Forward(x)
	a.value.Forward(x)

	sequences, size := len(starts)-1, 0
	a.starts, a.blocks = starts, grow(a.blocks, sequences)
	for s := range sequences {
		t := starts[s+1] - starts[s]
		a.blocks[s] = size
		size += a.heads * t * t
	}
	a.probs, a.work, a.context = grow(a.probs, size), grow(a.work, size), grow(a.context, len(x))
	parallel(sequences*a.heads, 1, a.forward)
	return a.context
}

func (a *Attention) forwardHeads(lo, hi int) {
	for task := lo; task < hi; task++ {
		s, head := task/a.heads, task%a.heads
		q, k, v := a.window(a.query.y, s, head), a.window(a.key.y, s, head), a.window(a.value.y, s, head)
		probs, work, first := a.square(s, head)

		product{c: probs, a: q, b: k.T()}.compute() // scores, before 1/√D
		for i := range probs.rows {
			row := probs.at(i, 0)[:probs.cols]
			sum := kernels.expSum(row, kernels.maximum(row), a.scale)
			kernels.scale(row, 1/sum)
		}
		product{c: a.window(a.context, s, head), a: a.dropped(probs, work, first), b: v}.compute()
	}
}

// Backward of context = dropout(probs)·v, probs = softmax(q·kᵀ/√D):
//
//	dv = dropout(probs)ᵀ·dcontext
//	dprobs = dropout(dcontext·vᵀ)
//	dscores = probs·(dprobs − Σ dprobs·probs)/√D
//	dq = dscores·k    dk = dscoresᵀ·q
//
// The gradient of x, which went into query, key and value, is added to dx.
func (a *Attention) Backward(dcontext, dx []float32) {
	n := len(dcontext)
	a.dcontext, a.dq, a.dk, a.dv = dcontext, grow(a.dq, n), grow(a.dk, n), grow(a.dv, n)
	parallel(len(a.blocks)*a.heads, 1, a.backward)

	a.query.BackwardAdd(a.dq, dx)
	a.key.BackwardAdd(a.dk, dx)
	a.value.BackwardAdd(a.dv, dx)
}

func (a *Attention) backwardHeads(lo, hi int) {
	for task := lo; task < hi; task++ {
		s, head := task/a.heads, task%a.heads
		q, k, v := a.window(a.query.y, s, head), a.window(a.key.y, s, head), a.window(a.value.y, s, head)
		probs, work, first := a.square(s, head)
		dcontext := a.window(a.dcontext, s, head)

		product{c: a.window(a.dv, s, head), a: a.dropped(probs, work, first).T(), b: dcontext}.compute()

		dscores := work
		product{c: dscores, a: dcontext, b: v.T()}.compute() // gradient of dropped
		a.dropout.apply(dscores.data, dscores.data, first)   // of probs
		for i := range probs.rows {
			p, d := probs.at(i, 0)[:probs.cols], dscores.at(i, 0)[:probs.cols]
			kernels.softmaxBackward(d, p, kernels.dot(d, p), a.scale)
		}
		product{c: a.window(a.dq, s, head), a: dscores, b: k}.compute()
		product{c: a.window(a.dk, s, head), a: dscores.T(), b: q}.compute()
	}
}

// dropped is dropout(probs), in work, or probs itself without dropout.
func (a *Attention) dropped(probs, work matrix, first int) matrix {
	if !a.dropout.active() {
		return probs
	}
	a.dropout.apply(work.data, probs.data, first)
	return work
}

// window is what a head sees of a sequence in x (N, H): a (T, D) matrix.
func (a *Attention) window(x []float32, s, head int) matrix {
	n, h := a.starts[len(a.starts)-1], a.heads*a.size
	return rowMajor(x, n, h).part(a.starts[s], head*a.size, a.starts[s+1]-a.starts[s], a.size)
}

// square is the (T, T) matrix of a head of a sequence in probs and in work, and
// where it begins there.
func (a *Attention) square(s, head int) (probs, work matrix, first int) {
	t := a.starts[s+1] - a.starts[s]
	first = a.blocks[s] + head*t*t
	return rowMajor(a.probs[first:], t, t), rowMajor(a.work[first:], t, t), first
}

// AddNorm ends each half of an encoder layer: y = LayerNorm(x + dropout(sub)),
// where x went into the half and sub came out of it ("Add & Norm" in Figure 1 of
// Attention Is All You Need).
type AddNorm struct {
	*LayerNorm
	dropout *Dropout

	sub  []float32 // (N, H)
	dsub []float32 // (N, H)

	forward, backward func(lo, hi int)
}

func newAddNorm(ps *Parameters, name string, size int, epsilon float32, dropout *Dropout) *AddNorm {
	l := &AddNorm{LayerNorm: newLayerNorm(ps, name, size, epsilon), dropout: dropout}
	l.forward, l.backward = l.forwardRows, l.backwardRows
	return l
}

// Forward: (N, H), (N, H) → (N, H).
func (l *AddNorm) Forward(x, sub []float32) []float32 {
	l.x, l.sub = x, sub
	l.resize(len(x))
	parallel(len(l.rstd), rowGrain, l.forward)
	return l.y
}

func (l *AddNorm) forwardRows(lo, hi int) {
	h := len(l.gain.Value)
	for r := lo; r < hi; r++ {
		sum := l.xhat[r*h:][:h]
		l.dropout.apply(sum, l.sub[r*h:][:h], r*h)
		kernels.add(sum, l.x[r*h:][:h])
		l.forwardRow(r, sum)
	}
}

// Backward of y = LayerNorm(x + dropout(sub)) returns the two gradients, which
// without dropout are equal:
//
//	dx = LayerNorm's dx    dsub = dropout(dx)
func (l *AddNorm) Backward(dy []float32) (dx, dsub []float32) {
	l.dy, l.dx, l.dsub = dy, grow(l.dx, len(dy)), grow(l.dsub, len(dy))
	parallel(len(l.rstd), rowGrain, l.backward)
	parallel(len(l.gain.Value), columnGrain, l.addGrads)
	return l.dx, l.dsub
}

func (l *AddNorm) backwardRows(lo, hi int) {
	h := len(l.gain.Value)
	for r := lo; r < hi; r++ {
		l.backwardRow(r)
		l.dropout.apply(l.dsub[r*h:][:h], l.dx[r*h:][:h], r*h)
	}
}

// EncoderLayer is attention and a feed-forward network, each with a residual
// connection around it and normalised after it (Hugging Face's BertLayer).
type EncoderLayer struct {
	attention       *Attention
	attentionOutput *Linear // (H) → (H)
	attentionNorm   *AddNorm

	intermediate *Linear // (H) → (I)
	gelu         *GELU
	output       *Linear // (I) → (H)
	outputNorm   *AddNorm
}

// newEncoderLayer makes the layer whose parameters are called name + ….
// dropout makes the next of the model's dropouts.
func newEncoderLayer(ps *Parameters, name string, c *Config, dropout func() *Dropout) *EncoderLayer {
	h := c.HiddenSize
	return &EncoderLayer{
		attention:       newAttention(ps, name+"attention.self.", c, dropout()),
		attentionOutput: newLinear(ps, name+"attention.output.dense", h, h),
		attentionNorm:   newAddNorm(ps, name+"attention.output.LayerNorm", h, c.epsilon(), dropout()),
		intermediate:    newLinear(ps, name+"intermediate.dense", h, c.IntermediateSize),
		gelu:            newGELU(),
		output:          newLinear(ps, name+"output.dense", c.IntermediateSize, h),
		outputNorm:      newAddNorm(ps, name+"output.LayerNorm", h, c.epsilon(), dropout()),
	}
}

// Forward: (N, H) → (N, H).
//
//	x₁ = LayerNorm(x + dropout(Linear(Attention(x))))
//	x₂ = LayerNorm(x₁ + dropout(Linear(GELU(Linear(x₁)))))
func (l *EncoderLayer) Forward(x []float32, starts []int) []float32 {
	sub := l.attentionOutput.Forward(l.attention.Forward(x, starts))
	x1 := l.attentionNorm.Forward(x, sub)
	sub = l.output.Forward(l.gelu.Forward(l.intermediate.Forward(x1)))
	return l.outputNorm.Forward(x1, sub)
}

// Backward is Forward read upwards. Each residual connection splits the
// gradient: part goes straight to the layer's input, where what comes back
// through the sub-layer is added to it.
func (l *EncoderLayer) Backward(dx2 []float32) []float32 {
	dx1, dsub := l.outputNorm.Backward(dx2)
	l.intermediate.BackwardAdd(l.gelu.Backward(l.output.Backward(dsub)), dx1)
	dx, dsub := l.attentionNorm.Backward(dx1)
	l.attention.Backward(l.attentionOutput.Backward(dsub), dx)
	return dx
}
