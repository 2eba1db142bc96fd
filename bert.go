// BERT, pre-trained from scratch: a lesson that runs.
//
// Read the files in this order; each begins with what it shows.
//
//	tokenizer.go   1  text becomes word pieces and their ids, [CLS] A [SEP] B [SEP]
//	vocabulary.go     where the word pieces come from
//	embeddings.go  2  an id becomes a vector: token + segment + position
//	parameters.go     what is learnt, and the values from which it starts
//	layers.go         the parts that everything is built from, forward and backward
//	attention.go   3  the encoder: tokens look at one another
//	bert.go        4  the whole model and its two heads (this file)
//	examples.go    5  documents become sentence pairs (NSP) with masked words (MLM)
//	train.go       6  the loop: schedule, clipping, evaluation; optimizer.go: AdamW
//	checkpoint.go  7  the saved model, in Hugging Face's format; resume.go: going on
//	finetune.go    8  transfer: new heads for new tasks; study.go: why pre-training pays
//	main.go           the commands; demo.go: the lesson as a story; explain.go: each
//	                  step for sentences of your own
//
// Below the lesson lie the inner loops: kernels_generic.go says what each
// computes, kernels.go builds matrix products from them and shares them out,
// kernels_amd64.s does them in assembly, to the same bits.
//
// # Words
//
//	token      a word piece, or a special token: [CLS] [SEP] [MASK] [UNK] [PAD]
//	segment    A (0) or B (1): the sentence that a token belongs to
//	MLM        masked language modelling: guess the hidden tokens
//	NSP        next sentence prediction: does B follow A? 0 = IsNext, 1 = NotNext
//	logits     scores before the softmax makes them probabilities
//	forward    from the input to the loss; backward: from the loss to the gradients
//	dx         the gradient of the loss by x, of x's shape
//
// Shapes: N tokens in the batch, S sequences, T tokens of one sequence, H hidden
// size, A heads, D = H/A, I intermediate size, V vocabulary, M masked tokens.
// A matrix (N, H) is a []float32 with its rows one after the other.
//
// A batch has no padding. Its sequences lie end to end, and only attention needs
// to know where each begins; so there is no attention mask either.
package main

import "fmt"

// Model is BERT with its two pre-training heads (Hugging Face's
// BertForPreTraining), or fine-tuned with another head instead.
type Model struct {
	Config Config
	Parameters

	embeddings *Embeddings
	encoder    []*EncoderLayer
	pooler     *Pooler // nil in a model that answers questions
	mlm        *MLMHead
	nsp        *Linear // (H) → 2
	head       head    // of a fine-tuned model, instead of mlm and nsp (finetune.go)

	dropouts []*Dropout
	batch    *Batch
	dx       []float32 // (N, H)

	mlmLoss, nspLoss *CrossEntropy
	mlmLogits        []float32 // (M, V)
	nspLogits        []float32 // (S, 2)
}

// NewModel makes a model with the values that training begins with.
func NewModel(c Config, seed uint64) (*Model, error) {
	m, err := newModel(c)
	if err != nil {
		return nil, err
	}
	m.allocate()
	m.initialize(seed, float32(c.InitializerRange))
	return m, nil
}

// newModel makes a model that has no memory for its parameters yet.
func newModel(c Config) (*Model, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	m := &Model{Config: c, mlmLoss: newCrossEntropy(), nspLoss: newCrossEntropy()}
	ps := &m.Parameters
	m.embeddings = newEmbeddings(ps, &c, m.newDropout())
	for i := range c.NumHiddenLayers {
		m.encoder = append(m.encoder, newEncoderLayer(ps, fmt.Sprintf("bert.encoder.layer.%d.", i), &c, m.newDropout))
		m.encoder[i].share(m.encoder[0])
	}
	if c.architecture() != preTraining {
		m.newHead()
		return m, nil
	}
	m.pooler = newPooler(ps, &c)
	m.mlm = newMLMHead(ps, &c, m.embeddings.Word)
	m.nsp = newLinear(ps, "cls.seq_relationship", c.HiddenSize, 2)
	return m, nil
}

func (m *Model) newDropout() *Dropout {
	d := &Dropout{site: len(m.dropouts)}
	m.dropouts = append(m.dropouts, d)
	return d
}

// SetDropout prepares the dropout of a training step.
func (m *Model) SetDropout(seed uint64, step int) {
	for _, d := range m.dropouts {
		d.set(m.Config.HiddenDropout, seed, step)
	}
	for _, l := range m.encoder {
		l.attention.dropout.set(m.Config.AttentionDropout, seed, step)
	}
	if c, ok := m.head.(*Classifier); ok {
		c.dropout.set(m.Config.classifierDropout(), seed, step)
	}
}

// NoDropout switches dropout off, as it is for everything but training.
func (m *Model) NoDropout() {
	for _, d := range m.dropouts {
		d.set(0, 0, 0)
	}
}

// Forward takes the batch through the model: its logits, for the masked
// tokens over the vocabulary and for each sequence over IsNext and NotNext.
func (m *Model) Forward(b *Batch) (mlmLogits, nspLogits []float32) {
	x := m.encode(b)
	m.mlmLogits = m.mlm.Forward(x, b.Masked)                   // (M, V)
	m.nspLogits = m.nsp.Forward(m.pooler.Forward(x, b.Starts)) // (S, 2)
	return m.mlmLogits, m.nspLogits
}

// encode is the part of Forward below the heads: (N, H).
func (m *Model) encode(b *Batch) []float32 {
	m.batch = b
	x := m.embeddings.Forward(b)
	for _, layer := range m.encoder {
		x = layer.Forward(x, b.Starts)
	}
	return x
}

// Loss compares the logits with the labels and replaces them by the gradient
// of the loss, which is the mean over masked tokens + the mean over sequences.
func (m *Model) Loss(b *Batch) Score {
	score := Score{MLMCount: len(b.Labels), NSPCount: len(b.NextLabels)}
	score.MLMLoss, score.MLMCorrect = m.mlmLoss.ForwardBackward(m.mlmLogits, b.Labels, 1/float32(len(b.Labels)))
	score.NSPLoss, score.NSPCorrect = m.nspLoss.ForwardBackward(m.nspLogits, b.NextLabels, 1/float32(len(b.NextLabels)))
	return score
}

// Backward is Forward read upwards. It adds to the gradients of all parameters.
func (m *Model) Backward() {
	dx := m.zeroGradient()
	m.pooler.Backward(m.nsp.Backward(m.nspLogits), dx)
	m.mlm.Backward(m.mlmLogits, dx)
	m.encodeBackward(dx)
}

// zeroGradient is the gradient of the encoder's output (N, H) before the heads
// add to it.
func (m *Model) zeroGradient() []float32 {
	m.dx = grow(m.dx, len(m.batch.Tokens)*m.Config.HiddenSize)
	clear(m.dx)
	return m.dx
}

// encodeBackward is the backward of encode.
func (m *Model) encodeBackward(dx []float32) {
	for i := len(m.encoder) - 1; i >= 0; i-- {
		dx = m.encoder[i].Backward(dx)
	}
	m.embeddings.Backward(dx)
}

// Pooler makes one vector of a sequence, from its first token: [CLS] stands for
// the whole (Hugging Face's BertPooler).
//
//	y = tanh(Linear(x[first]))
type Pooler struct {
	dense  *Linear
	starts []int
	first  []float32 // (S, H)
	y      []float32 // (S, H)
}

func newPooler(ps *Parameters, c *Config) *Pooler {
	return &Pooler{dense: newLinear(ps, "bert.pooler.dense", c.HiddenSize, c.HiddenSize)}
}

// Forward: (N, H) → (S, H).
func (p *Pooler) Forward(x []float32, starts []int) []float32 {
	_, h := p.dense.outIn()
	p.starts = starts[:len(starts)-1]
	p.first = gatherRows(p.first, x, p.starts, h)
	p.y = tanhForward(p.dense.Forward(p.first))
	return p.y
}

// Backward adds to the rows of dx (N, H) that Forward took.
func (p *Pooler) Backward(dy, dx []float32) {
	_, h := p.dense.outIn()
	addRows(dx, p.dense.Backward(tanhBackward(dy, p.y)), p.starts, h)
}

// MLMHead guesses the masked tokens (Hugging Face's BertLMPredictionHead). The
// decoder's weights are the word embeddings: a token is likely if its vector
// points to where the transformed one points. Only masked rows come here.
//
//	logits = LayerNorm(GELU(Linear(x)))·wordᵀ + bias
type MLMHead struct {
	transform *Linear
	gelu      *GELU
	norm      *LayerNorm
	decoder   *Linear // (H) → (V)

	masked []int     // rows of x
	rows   []float32 // (M, H)
}

func newMLMHead(ps *Parameters, c *Config, word *Param) *MLMHead {
	const name = "cls.predictions."
	return &MLMHead{
		transform: newLinear(ps, name+"transform.dense", c.HiddenSize, c.HiddenSize),
		gelu:      newGELU(),
		norm:      newLayerNorm(ps, name+"transform.LayerNorm", c.HiddenSize, c.epsilon()),
		decoder:   newLinearOf(word, ps.bias(name+"bias", c.VocabSize)),
	}
}

// Forward: (N, H) and M rows of it → (M, V).
func (d *MLMHead) Forward(x []float32, masked []int) []float32 {
	_, h := d.transform.outIn()
	d.masked, d.rows = masked, gatherRows(d.rows, x, masked, h)
	return d.decoder.Forward(d.norm.Forward(d.gelu.Forward(d.transform.Forward(d.rows))))
}

// Backward adds to the masked rows of dx (N, H).
func (d *MLMHead) Backward(dlogits, dx []float32) {
	_, h := d.transform.outIn()
	drows := d.transform.Backward(d.gelu.Backward(d.norm.Backward(d.decoder.Backward(dlogits))))
	addRows(dx, drows, d.masked, h)
}

// gatherRows copies rows of x, each of h floats, to buf, which grows.
func gatherRows(buf, x []float32, rows []int, h int) []float32 {
	buf = grow(buf, len(rows)*h)
	for i, r := range rows {
		copy(buf[i*h:][:h], x[r*h:])
	}
	return buf
}

// addRows adds row i of drows to row rows[i] of dx.
func addRows(dx, drows []float32, rows []int, h int) {
	for i, r := range rows {
		kernels.add(dx[r*h:][:h], drows[i*h:][:h])
	}
}

// Score is how well a model did: sums, so that scores can be added.
type Score struct {
	MLMLoss, NSPLoss       float64
	MLMCount, NSPCount     int // masked tokens, sentence pairs
	MLMCorrect, NSPCorrect int
}

// Add adds the sums of another score.
func (s *Score) Add(t Score) {
	s.MLMLoss += t.MLMLoss
	s.NSPLoss += t.NSPLoss
	s.MLMCount += t.MLMCount
	s.NSPCount += t.NSPCount
	s.MLMCorrect += t.MLMCorrect
	s.NSPCorrect += t.NSPCorrect
}
