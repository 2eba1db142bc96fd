package main

import "math"

// Step 3 of the lesson: the encoder. Each layer lets every token look at all tokens of its
// sequence, to the left, to the right (the B of BERT) and at itself, and then works on each
// token by itself. It may look both ways because what has to be guessed is hidden
// (examples.go).

// Attention is multi-head scaled dot-product self-attention (Hugging Face's
// BertSelfAttention). From each token it makes a query, a key and a value: what
// the token looks for, what it offers, and what it gives. In each of A heads, which sees
// D = H/A of their floats and can look for something different, a token gathers
// the values of all tokens, weighted by how well its query fits their keys:
//
//	scores = q·kᵀ    probs = softmax(scores/√D)    context = dropout(probs)·v
//
// (A score is a sum of D products, so its spread grows like √D. Divided by √D, the
// scores do not push the softmax onto one token alone.) One head of one sequence of T
// tokens is one task for a worker.
type Attention struct {
	heads, headSize   int     // A, D
	scale             float32 // 1/√D
	query, key, value *Linear
	dropout           *Dropout

	starts  []int     // where each sequence begins; at the end N
	blocks  []int     // where each sequence's (A, T, T) begins in probs
	probs   []float32 // (A, T, T) of each sequence
	work    *Buffer   // (A, T, T) of each sequence: probs after dropout, dscores
	context []float32 // (N, H)

	dcontext   []float32 // (N, H)
	dq, dk, dv *Buffer   // (N, H)

	forward, backward func(lo, hi int)
}

func newAttention(ps *Parameters, name string, c *Config, dropout *Dropout) *Attention {
	h, d := c.HiddenSize, c.HiddenSize/c.NumAttentionHeads
	a := &Attention{
		heads:    c.NumAttentionHeads,
		headSize: d,
		scale:    1 / float32(math.Sqrt(float64(d))),
		query:    NewLinear(ps, name+"query", h, h),
		key:      NewLinear(ps, name+"key", h, h),
		value:    NewLinear(ps, name+"value", h, h),
		dropout:  dropout,
		work:     new(Buffer),
		dq:       new(Buffer),
		dk:       new(Buffer),
		dv:       new(Buffer),
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
	a.starts, a.blocks = starts, Grow(a.blocks, sequences)
	for s := range sequences {
		t := starts[s+1] - starts[s]
		a.blocks[s] = size
		size += a.heads * t * t
	}
	a.probs, a.context = Grow(a.probs, size), Grow(a.context, len(x))
	a.work.Room(size)
	parallel(sequences*a.heads, 1, a.forward)
	return a.context
}

// forwardHeads computes the tasks lo to hi: for a head of a sequence, from its q, k and
// v, the scores, which become probs in place, and context. It runs inside parallel, so
// its products compute on this worker alone, by compute and not by matmul.
func (a *Attention) forwardHeads(lo, hi int) {
	for task := lo; task < hi; task++ {
		s, head := task/a.heads, task%a.heads
		q, k, v := a.headOf(a.query.y.floats, s, head), a.headOf(a.key.y.floats, s, head), a.headOf(a.value.y.floats, s, head)
		probs, work, first := a.square(s, head)

		product{c: probs, a: q, b: k.T()}.compute() // scores
		for i := range probs.rows {
			Softmax(probs.row(i), a.scale)
		}
		product{c: a.headOf(a.context, s, head), a: a.dropped(probs, work, first), b: v}.compute()
	}
}

// Backward of context = dropout(probs)·v, probs = softmax(q·kᵀ/√D):
//
//	dv = dropout(probs)ᵀ·dcontext
//	dprobs = dropout(dcontext·vᵀ)
//	dscores = probs∘(dprobs − Σ dprobs∘probs)/√D     element by element, Σ along a row
//	dq = dscores·k    dk = dscoresᵀ·q
//
// The gradient of x, which went into query, key and value, is added to dx.
func (a *Attention) Backward(dcontext, dx []float32) {
	n := len(dcontext)
	a.dcontext = dcontext
	for _, b := range []*Buffer{a.dq, a.dk, a.dv} {
		b.Room(n)
	}
	parallel(len(a.blocks)*a.heads, 1, a.backward)

	a.query.BackwardAdd(a.dq.floats, dx)
	a.key.BackwardAdd(a.dk.floats, dx)
	a.value.BackwardAdd(a.dv.floats, dx)
}

// backwardHeads computes the tasks lo to hi: of a head of a sequence, dv, dq and dk.
func (a *Attention) backwardHeads(lo, hi int) {
	for task := lo; task < hi; task++ {
		s, head := task/a.heads, task%a.heads
		q, k, v := a.headOf(a.query.y.floats, s, head), a.headOf(a.key.y.floats, s, head), a.headOf(a.value.y.floats, s, head)
		probs, work, first := a.square(s, head)
		dcontext := a.headOf(a.dcontext, s, head)

		product{c: a.headOf(a.dv.floats, s, head), a: a.dropped(probs, work, first).T(), b: dcontext}.compute()

		dscores := work
		product{c: dscores, a: dcontext, b: v.T()}.compute() // gradient of dropped
		a.dropout.Apply(dscores.data, dscores.data, first)   // of probs
		for i := range probs.rows {
			SoftmaxBackward(dscores.row(i), probs.row(i), a.scale)
		}
		product{c: a.headOf(a.dq.floats, s, head), a: dscores, b: k}.compute()
		product{c: a.headOf(a.dk.floats, s, head), a: dscores.T(), b: q}.compute()
	}
}

// dropped is dropout(probs), in work, or probs itself without dropout.
func (a *Attention) dropped(probs, work matrix, first int) matrix {
	if !a.dropout.Active() {
		return probs
	}
	a.dropout.Apply(work.data, probs.data, first)
	return work
}

// headOf is what a head sees of a sequence in x (N, H): a (T, D) matrix.
func (a *Attention) headOf(x []float32, s, head int) matrix {
	n, h := a.starts[len(a.starts)-1], a.heads*a.headSize
	return rowMajor(x, n, h).part(a.starts[s], head*a.headSize, a.starts[s+1]-a.starts[s], a.headSize)
}

// square is the (T, T) matrix of a head of a sequence in probs and in work, and
// where it begins there.
func (a *Attention) square(s, head int) (probs, work matrix, first int) {
	t := a.starts[s+1] - a.starts[s]
	first = a.blocks[s] + head*t*t
	return rowMajor(a.probs[first:], t, t), rowMajor(a.work.floats[first:], t, t), first
}

// Weights is how a token of the first sequence shares its attention out among all, in one
// head, counted from 1, or on average if head is 0: (T), its row of probs, whose sum is 1.
func (a *Attention) Weights(token, head int) []float32 {
	first, last := head, head
	if head == 0 {
		first, last = 1, a.heads
	}
	mean := make([]float32, a.starts[1])
	for h := first; h <= last; h++ {
		probs, _, _ := a.square(0, h-1)
		kernels.add(mean, probs.row(token))
	}
	kernels.scale(mean, 1/float32(last-first+1))
	return mean
}

// Output ends each half of an encoder layer. What came out of attention, or of the
// intermediate layer, is transformed and added to what went into the half (the residual
// connection: a layer need only learn what to change), and the sum is normalised
// (Hugging Face's BertSelfOutput and BertOutput; "Add & Norm" in figure 1 of Attention
// Is All You Need):
//
//	y = LayerNorm(x + dropout(dense(sub)))
type Output struct {
	dense   *Linear
	dropout *Dropout
	norm    *LayerNorm

	x, sum []float32 // (N, H)
	ddense *Buffer   // (N, H)

	forward, backward func(lo, hi int)
}

// newOutput makes the part named name + …, from in to the hidden size.
func newOutput(ps *Parameters, name string, in int, c *Config, dropout *Dropout) *Output {
	l := &Output{
		dense:   NewLinear(ps, name+"dense", in, c.HiddenSize),
		dropout: dropout,
		norm:    NewLayerNorm(ps, name+"LayerNorm", c.HiddenSize, c.Epsilon()),
		ddense:  new(Buffer),
	}
	l.forward, l.backward = l.forwardRows, l.backwardRows
	return l
}

// Forward: (N, H), (N, In) → (N, H).
func (l *Output) Forward(x, sub []float32) []float32 {
	l.x, l.sum = x, l.dense.Forward(sub)
	l.norm.Resize(len(x))
	parallel(len(l.norm.rstd), rowGrain, l.forward)
	return l.norm.y
}

// forwardRows computes the rows lo to hi of y.
func (l *Output) forwardRows(lo, hi int) {
	h := len(l.norm.gain.Value)
	for r := lo; r < hi; r++ {
		sum := l.sum[r*h:][:h]
		l.dropout.Apply(sum, sum, r*h)
		kernels.add(sum, l.x[r*h:][:h])
		l.norm.ForwardRow(r, sum)
	}
}

// Backward of y = LayerNorm(x + dropout(dense(sub))):
//
//	dx = LayerNorm's dx    ddense = dropout(dx)    dsub = dense's dx
func (l *Output) Backward(dy []float32) (dx, dsub []float32) {
	dx = l.norm.Backward(dy)
	if !l.dropout.Active() {
		return dx, l.dense.Backward(dx)
	}
	l.ddense.Room(len(dx))
	parallel(len(l.norm.rstd), rowGrain, l.backward)
	return dx, l.dense.Backward(l.ddense.floats)
}

// backwardRows computes the rows lo to hi of ddense.
func (l *Output) backwardRows(lo, hi int) {
	h := len(l.norm.gain.Value)
	l.dropout.Apply(l.ddense.floats[lo*h:hi*h], l.norm.dx.floats[lo*h:hi*h], lo*h)
}

// EncoderLayer is attention and a feed-forward network, each with a residual
// connection around it and normalised after it (Hugging Face's BertLayer).
type EncoderLayer struct {
	attention       *Attention
	attentionOutput *Output
	intermediate    *Linear // (H) → (I)
	activation      *Activation
	output          *Output // (I) → (H)
}

// NewEncoderLayer makes the layer whose parameters are called name + ….
// dropout makes the next of the model's dropouts, which has this rate.
func NewEncoderLayer(ps *Parameters, name string, c *Config, dropout func(rate *float64) *Dropout) *EncoderLayer {
	return &EncoderLayer{
		attention:       newAttention(ps, name+"attention.self.", c, dropout(&c.AttentionDropout)),
		attentionOutput: newOutput(ps, name+"attention.output.", c.HiddenSize, c, dropout(&c.HiddenDropout)),
		intermediate:    NewLinear(ps, name+"intermediate.dense", c.HiddenSize, c.IntermediateSize),
		activation:      NewActivation(c.HiddenAct),
		output:          newOutput(ps, name+"output.", c.IntermediateSize, c, dropout(&c.HiddenDropout)),
	}
}

// ShareMemory makes the layer use another's memory for what only one layer needs at a
// time: what comes up on the way back, and on the way forward the result of each
// Output's dense layer, which LayerNorm soon replaces, and of the activation, which is
// computed again on the way back. A model of base size needs a quarter less memory for
// that.
func (l *EncoderLayer) ShareMemory(other *EncoderLayer) {
	a, b := l.attention, other.attention
	a.work, a.dq, a.dk, a.dv = b.work, b.dq, b.dk, b.dv
	l.activation.y = other.activation.y
	for _, o := range [][2]*Output{{l.attentionOutput, other.attentionOutput}, {l.output, other.output}} {
		o[0].dense.y, o[0].dense.dx = o[1].dense.y, o[1].dense.dx
		o[0].ddense, o[0].norm.dx = o[1].ddense, o[1].norm.dx
	}
}

// Forward: (N, H) → (N, H).
//
//	x₁ = Output(x, Attention(x))
//	x₂ = Output(x₁, GELU(Linear(x₁)))
func (l *EncoderLayer) Forward(x []float32, starts []int) []float32 {
	x1 := l.attentionOutput.Forward(x, l.attention.Forward(x, starts))
	return l.output.Forward(x1, l.activation.Forward(l.intermediate.Forward(x1)))
}

// Backward goes through Forward in reverse. Each residual connection splits the
// gradient: part goes straight to the layer's input, where what comes back through the
// sub-layer is added to it.
func (l *EncoderLayer) Backward(dx2 []float32) []float32 {
	l.activation.Forward(l.activation.x) // its result was in memory that layers share
	dx1, dactivation := l.output.Backward(dx2)
	l.intermediate.BackwardAdd(l.activation.Backward(dactivation), dx1)
	dx, dcontext := l.attentionOutput.Backward(dx1)
	l.attention.Backward(dcontext, dx)
	return dx
}
