package main

import "math"

// Step 2 of the lesson, before the embeddings: the parts that all of BERT is put together
// from. They are the linear layer, layer normalisation, dropout, the activation and the
// softmax with its loss. Each is a forward and, right below it, the backward: given the
// gradient of the loss with respect to the output, it returns that with respect to the
// input and adds to the gradients of the parameters. (What has no parameters overwrites the
// one with the other, and what shares its input with others adds to a gradient it is given.)
//
// Rows are tokens: x is (N, H) when it has N rows of H floats. What a layer keeps from
// forward to backward are its fields. A layer's functions for parallel (forwardRows and
// the like) are made once, in its constructor: made in each step they would be garbage.

// Grow returns a slice of length n, buf if it is large enough. The contents are
// whatever they are.
func Grow[T any](buf []T, n int) []T {
	if cap(buf) < n {
		return make([]T, n)
	}
	return buf[:n]
}

// A Buffer is room for a result. Where the result is soon used up, layers share one buffer
// (EncoderLayer.ShareMemory).
type Buffer struct{ floats []float32 }

// Room makes the buffer n floats long.
func (b *Buffer) Room(n int) []float32 {
	b.floats = Grow(b.floats, n)
	return b.floats
}

// Linear is y = x·Wᵀ + b, called "dense" in BERT.
type Linear struct {
	weight *Param // (Out, In)
	bias   *Param // (Out)

	x  []float32 // (N, In)
	y  *Buffer   // (N, Out)
	dy []float32 // (N, Out)
	dx *Buffer   // (N, In)

	addBiasGrad func(lo, hi int)
}

// NewLinear makes a layer from in to out, named name.weight and name.bias.
func NewLinear(ps *Parameters, name string, in, out int) *Linear {
	return NewLinearOf(ps.Matrix(name+".weight", out, in), ps.Bias(name+".bias", out))
}

// NewLinearOf makes a layer of these parameters, which it may share with others.
func NewLinearOf(weight, bias *Param) *Linear {
	l := &Linear{weight: weight, bias: bias, y: new(Buffer), dx: new(Buffer)}
	l.addBiasGrad = l.addBiasGradColumns
	return l
}

// OutIn are the sizes of a row of y and of x.
func (l *Linear) OutIn() (out, in int) { return l.weight.Shape[0], l.weight.Shape[1] }

// Forward: (N, In) → (N, Out).
func (l *Linear) Forward(x []float32) []float32 {
	out, in := l.OutIn()
	n := len(x) / in
	l.x = x
	y, w := l.y.Room(n*out), rowMajor(l.weight.Value, out, in)
	matmul(rowMajor(y, n, out), rowMajor(x, n, in), w.T(), repeated(l.bias.Value, n))
	return y
}

// Backward of y = x·Wᵀ + b:
//
//	dx = dy·W    dW += dyᵀ·x    db += Σ rows of dy
func (l *Linear) Backward(dy []float32) []float32 {
	dx := l.dx.Room(len(l.x))
	l.backward(dy, dx, matrix{})
	return dx
}

// BackwardAdd is Backward where dx is added to what sum holds: the gradient
// that x has from elsewhere.
func (l *Linear) BackwardAdd(dy, sum []float32) {
	_, in := l.OutIn()
	l.backward(dy, sum, rowMajor(sum, len(sum)/in, in))
}

// backward computes dx = start + dy·W, and the gradients of W and b.
func (l *Linear) backward(dy, dx []float32, start matrix) {
	out, in := l.OutIn()
	n := len(dy) / out
	l.dy = dy
	x, dyn := rowMajor(l.x, n, in), rowMajor(dy, n, out)
	w, dw := rowMajor(l.weight.Value, out, in), rowMajor(l.weight.Grad, out, in)
	matmul(rowMajor(dx, n, in), dyn, w, start)
	matmul(dw, dyn.T(), x, dw)
	parallelColumns(out, l.addBiasGrad)
}

// addBiasGradColumns adds the rows of dy to the bias' gradient, in columns lo to hi.
func (l *Linear) addBiasGradColumns(lo, hi int) {
	out, _ := l.OutIn()
	for at := 0; at < len(l.dy); at += out {
		kernels.add(l.bias.Grad[lo:hi], l.dy[at+lo:at+hi])
	}
}

// LayerNorm brings each row to mean 0 and variance 1, so that what comes out of many layers
// does not grow or vanish, then scales and shifts it:
//
//	xhat = (x − mean)·rstd    rstd = 1/√(variance + ε)    y = xhat·gain + bias
type LayerNorm struct {
	gain, bias *Param // (H)
	epsilon    float32

	x    []float32 // (N, H)
	xhat []float32 // (N, H)
	rstd []float32 // (N)
	y    []float32 // (N, H)
	dy   []float32 // (N, H)
	dx   *Buffer   // (N, H)

	forward, backward, addGrads func(lo, hi int)
}

// NewLayerNorm makes a layer for rows of this size, named name.weight and name.bias.
func NewLayerNorm(ps *Parameters, name string, size int, epsilon float32) *LayerNorm {
	l := &LayerNorm{gain: ps.Gain(name+".weight", size), bias: ps.Bias(name+".bias", size), epsilon: epsilon, dx: new(Buffer)}
	l.forward, l.backward, l.addGrads = l.forwardRows, l.backwardRows, l.addGradColumns
	return l
}

// Forward: (N, H) → (N, H).
func (l *LayerNorm) Forward(x []float32) []float32 {
	l.x = x
	l.Resize(len(x))
	parallel(len(l.rstd), rowGrain, l.forward)
	return l.y
}

// Resize makes room for the results of size floats.
func (l *LayerNorm) Resize(size int) {
	l.y, l.xhat, l.rstd = Grow(l.y, size), Grow(l.xhat, size), Grow(l.rstd, size/len(l.gain.Value))
}

// forwardRows computes the rows lo to hi.
func (l *LayerNorm) forwardRows(lo, hi int) {
	h := len(l.gain.Value)
	for r := lo; r < hi; r++ {
		l.ForwardRow(r, l.x[r*h:][:h])
	}
}

// ForwardRow normalises x into row r of y and xhat.
func (l *LayerNorm) ForwardRow(r int, x []float32) {
	h := len(x)
	mean := kernels.sum(x) / float32(h)
	variance := kernels.squares(x, mean) / float32(h)
	l.rstd[r] = 1 / float32(math.Sqrt(float64(variance+l.epsilon)))
	kernels.normalize(l.y[r*h:][:h], l.xhat[r*h:][:h], x, l.gain.Value, l.bias.Value, mean, l.rstd[r])
}

// Backward of y = xhat·gain + bias: with g = dy·gain,
//
//	dx = rstd·(g − mean(g) − xhat·mean(g·xhat))
//	dgain += Σ rows of dy·xhat    dbias += Σ rows of dy
//
// The two means are there because every x of a row has a part in the mean and
// in the variance that all of the row was normalised by.
func (l *LayerNorm) Backward(dy []float32) []float32 {
	l.dy = dy
	l.dx.Room(len(dy))
	parallel(len(l.rstd), rowGrain, l.backward)
	parallelColumns(len(l.gain.Value), l.addGrads)
	return l.dx.floats
}

// backwardRows computes the rows lo to hi of dx.
func (l *LayerNorm) backwardRows(lo, hi int) {
	for r := lo; r < hi; r++ {
		l.backwardRow(r)
	}
}

func (l *LayerNorm) backwardRow(r int) {
	h := len(l.gain.Value)
	dy, xhat := l.dy[r*h:][:h], l.xhat[r*h:][:h]
	sum, dot := kernels.normalizeSums(dy, l.gain.Value, xhat)
	kernels.normalizeBackward(l.dx.floats[r*h:][:h], dy, l.gain.Value, xhat, sum/float32(h), dot/float32(h), l.rstd[r])
}

// addGradColumns adds to the gradients of gain and bias, in columns lo to hi.
func (l *LayerNorm) addGradColumns(lo, hi int) {
	h := len(l.gain.Value)
	for at := 0; at < len(l.dy); at += h {
		dy, xhat := l.dy[at+lo:at+hi], l.xhat[at+lo:at+hi]
		kernels.mulAdd(l.gain.Grad[lo:hi], dy, xhat)
		kernels.add(l.bias.Grad[lo:hi], dy)
	}
}

// Dropout sets each element to 0 with probability p and scales the others by
// 1/(1−p), so that the mean stays. So no element can rely on another one, which guards
// against learning the text by heart. It is active in training only.
type Dropout struct {
	rate      *float64 // p, in the model's Config
	site      int      // which dropout of the model this is
	key       uint32   // of the coins of this step
	before    uint32   // elements of the batch before this part of it (accumulate.go)
	threshold uint32   // p·2³¹; 0 is no dropout
	scale     float32  // 1/(1−p)

	y        []float32 // of x's shape
	from, to []float32 // what drop is at
	drop     func(lo, hi int)
}

// NewDropout makes the dropout that has this place in the model.
func NewDropout(rate *float64, site int) *Dropout {
	d := &Dropout{rate: rate, site: site}
	d.drop = func(lo, hi int) { d.Apply(d.to[lo:hi], d.from[lo:hi], lo) }
	return d
}

// Set prepares the coins of a step; p = 0 switches dropout off.
func (d *Dropout) Set(p float64, seed uint64, step int) {
	d.key, d.before = uint32(mix(seed, forDropout, uint64(step), uint64(d.site))>>32), 0
	d.threshold, d.scale = uint32(p*(1<<31)), float32(1/(1-p))
}

// Active tells whether anything is dropped in this step.
func (d *Dropout) Active() bool { return d.threshold > 0 }

// Forward: any shape.
func (d *Dropout) Forward(x []float32) []float32 {
	if !d.Active() {
		return x
	}
	d.y = Grow(d.y, len(x))
	d.from, d.to = x, d.y
	parallel(len(x), elementGrain, d.drop)
	return d.y
}

// Backward tosses the same coins; it overwrites dy:
//
//	dx = dropout(dy)
func (d *Dropout) Backward(dy []float32) []float32 {
	if d.Active() {
		d.from, d.to = dy, dy
		parallel(len(dy), elementGrain, d.drop)
	}
	return dy
}

// Apply computes y = dropout(x) of a part, where x[0] is element first of the whole. While
// dropout is off it does nothing, and y has to be x.
func (d *Dropout) Apply(y, x []float32, first int) {
	if d.Active() {
		kernels.dropout(y, x, d.before+uint32(first), d.key, d.threshold, d.scale)
	}
}

// Activation is what makes a network more than one large matrix: a function of each
// element that is not linear. BERT's is the GELU, y = x·Φ(x), where Φ is the cumulative
// normal distribution: a ReLU with a round corner (Hendrycks and Gimpel 2016; "gelu" in
// Hugging Face, the one with erf). activations.go has others.
type Activation struct {
	x, dy []float32
	y     *Buffer

	forward, backward func(lo, hi int)
}

// NewActivation makes the one that hidden_act of config.json names.
func NewActivation(name string) *Activation {
	l, f := &Activation{y: new(Buffer)}, ActivationFunctions[name]
	l.forward = func(lo, hi int) { f.Forward(l.y.floats[lo:hi], l.x[lo:hi]) }
	l.backward = func(lo, hi int) { f.Backward(l.dy[lo:hi], l.dy[lo:hi], l.x[lo:hi]) }
	return l
}

// Forward: any shape.
func (l *Activation) Forward(x []float32) []float32 {
	l.x = x
	y := l.y.Room(len(x))
	parallel(len(x), elementGrain, l.forward)
	return y
}

// Backward of y = x·Φ(x), where φ = Φ' is the normal density (the others alike); it
// overwrites dy:
//
//	dx = dy·(Φ(x) + x·φ(x))
func (l *Activation) Backward(dy []float32) []float32 {
	l.dy = dy
	parallel(len(dy), elementGrain, l.backward)
	return dy
}

// TanhForward: y = tanh(x) in place, from e^(−2|x|), which cannot overflow.
func TanhForward(x []float32) []float32 {
	for i, v := range x {
		e := exp(-2 * float32(math.Abs(float64(v))))
		x[i] = float32(math.Copysign(float64((1-e)/(1+e)), float64(v)))
	}
	return x
}

// TanhBackward of y = tanh(x), in place: dx = dy·(1 − y²).
func TanhBackward(dy, y []float32) []float32 {
	for i, v := range y {
		dy[i] *= fma(-v, v, 1)
	}
	return dy
}

// Softmax makes of x, in place, e^(scale·x) / Σ e^(scale·x): numbers between 0 and 1 that
// add up to 1. The greatest x is taken away from all first, which changes nothing but that
// no power is too large.
func Softmax(x []float32, scale float32) []float32 {
	sum := kernels.expSum(x, kernels.maximum(x), scale) // x is now the powers
	kernels.scale(x, 1/sum)
	return x
}

// SoftmaxBackward makes of dp, the gradient of p = softmax(x, scale), that of x, in place:
//
//	dx = scale·p·(dp − Σ dp·p)
func SoftmaxBackward(dp, p []float32, scale float32) {
	kernels.softmaxBackward(dp, p, kernels.dot(dp, p), scale)
}

// CrossEntropy is the softmax over each row of logits and its loss
// −ln p(label): how surprised the model is by the right answer.
type CrossEntropy struct {
	logits []float32 // (M, V), becomes their gradient
	labels []int32   // (M)
	weight float32   // of a row's gradient: 1/M for a mean
	losses []float64 // (M)
	best   []bool    // (M): no logit is greater than the label's

	rows func(lo, hi int)
}

// NewCrossEntropy makes a loss for any number of classes.
func NewCrossEntropy() *CrossEntropy {
	l := &CrossEntropy{}
	l.rows = l.forwardBackwardRows
	return l
}

// ForwardBackward returns the sum of the rows' losses and the number of rows in
// which the label is the first choice, and replaces the logits by the gradient
// of weight times that sum:
//
//	dlogits = weight·(p − onehot(label))
func (l *CrossEntropy) ForwardBackward(logits []float32, labels []int32, weight float32) (loss float64, correct int) {
	l.logits, l.labels, l.weight = logits, labels, weight
	l.losses, l.best = Grow(l.losses, len(labels)), Grow(l.best, len(labels))
	parallel(len(labels), 1, l.rows)
	for i := range labels {
		loss += l.losses[i]
		if l.best[i] {
			correct++
		}
	}
	return loss, correct
}

// forwardBackwardRows computes losses, best and the gradient of the rows lo to hi.
func (l *CrossEntropy) forwardBackwardRows(lo, hi int) {
	classes := len(l.logits) / len(l.labels)
	for r := lo; r < hi; r++ {
		row, label := l.logits[r*classes:][:classes], l.labels[r]
		greatest, own := kernels.maximum(row), row[label]
		sum := kernels.expSum(row, greatest, 1) // row is now e^(row − greatest)
		l.best[r] = own == greatest
		l.losses[r] = ln(float64(sum)) + float64(greatest-own)
		kernels.scale(row, l.weight/sum)
		row[label] -= l.weight
	}
}
