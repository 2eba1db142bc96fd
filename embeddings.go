package main

// Step 2 of the lesson: what goes into the encoder. A token enters as the sum
// of three vectors, each looked up in a table that is learnt:
//
//	token      [CLS]  my   dog   is  cute [SEP]  he  likes play ##ing [SEP]
//	segment      A     A    A    A    A     A    B     B    B     B     B
//	position     0     1    2    3    4     5    6     7    8     9    10
//
// The token says what the word is, the segment to which of the two sentences it
// belongs, and the position where it stands, which attention alone cannot see.
// The sum is normalised, and in training some of it is dropped (BERT paper,
// section 3, figure 2; Hugging Face's BertEmbeddings).

// A Batch is some examples, end to end.
type Batch struct {
	Tokens     []int32 // (N)
	Segments   []int32 // (N)
	Positions  []int32 // (N) within the sequence
	Starts     []int   // (S+1) row of each [CLS], and N
	Masked     []int   // (M) rows whose token is to be guessed
	Labels     []int32 // (M) the tokens that were there
	NextLabels []int32 // (S)
}

// Reset empties the batch.
func (b *Batch) Reset() {
	*b = Batch{b.Tokens[:0], b.Segments[:0], b.Positions[:0], append(b.Starts[:0], 0), b.Masked[:0], b.Labels[:0], b.NextLabels[:0]}
}

// Add appends an example.
func (b *Batch) Add(e Example) {
	start := len(b.Tokens)
	b.Tokens = append(b.Tokens, e.Tokens...)
	b.Segments = append(b.Segments, e.Segments...)
	for i := range e.Tokens {
		b.Positions = append(b.Positions, int32(i))
	}
	b.Starts = append(b.Starts, len(b.Tokens))
	for _, p := range e.Positions {
		b.Masked = append(b.Masked, start+int(p))
	}
	b.Labels = append(b.Labels, e.Labels...)
	b.NextLabels = append(b.NextLabels, e.NextLabel)
}

// Embeddings looks up and adds the three vectors of each token.
type Embeddings struct {
	Word     *Param // (V, H)
	Position *Param // (MaxPositionEmbeddings, H)
	Segment  *Param // (TypeVocabSize, H)
	norm     *LayerNorm
	dropout  *Dropout

	batch *Batch
	sum   []float32 // (N, H)
	y     []float32 // (N, H)
	dy    []float32 // (N, H)
	dnorm []float32 // (N, H) gradient of the norm's output
	dsum  []float32 // (N, H) and of its input

	forward, dropRows, dropGrads, addGrads func(lo, hi int)
}

func newEmbeddings(ps *Parameters, c *Config, dropout *Dropout) *Embeddings {
	const name = "bert.embeddings."
	e := &Embeddings{
		Word:     ps.matrix(name+"word_embeddings.weight", c.VocabSize, c.HiddenSize),
		Position: ps.matrix(name+"position_embeddings.weight", c.MaxPositionEmbeddings, c.HiddenSize),
		Segment:  ps.matrix(name+"token_type_embeddings.weight", c.TypeVocabSize, c.HiddenSize),
		norm:     newLayerNorm(ps, name+"LayerNorm", c.HiddenSize, c.epsilon()),
		dropout:  dropout,
	}
	e.forward, e.dropRows, e.dropGrads, e.addGrads = e.forwardRows, e.dropoutRows, e.dropoutGradRows, e.addGradColumns
	return e
}

// Forward: the N tokens of a batch → (N, H).
//
//	y = dropout(LayerNorm(word[token] + segment[segment] + position[position]))
func (e *Embeddings) Forward(b *Batch) []float32 {
	n, h := len(b.Tokens), e.Word.Shape[1]
	e.batch, e.sum, e.y = b, grow(e.sum, n*h), grow(e.y, n*h)
	parallel(n, rowGrain, e.forward)
	e.norm.Forward(e.sum)
	parallel(n, rowGrain, e.dropRows)
	return e.y
}

func (e *Embeddings) forwardRows(lo, hi int) {
	h := e.Word.Shape[1]
	for r := lo; r < hi; r++ {
		sum := e.sum[r*h:][:h]
		copy(sum, e.Word.row(e.batch.Tokens[r]))
		kernels.add(sum, e.Segment.row(e.batch.Segments[r]))
		kernels.add(sum, e.Position.row(e.batch.Positions[r]))
	}
}

func (e *Embeddings) dropoutRows(lo, hi int) {
	h := e.Word.Shape[1]
	e.dropout.apply(e.y[lo*h:hi*h], e.norm.y.floats[lo*h:hi*h], lo*h)
}

// Backward of the sum: each of the three rows that a token was made of gets all
// of its gradient,
//
//	dword[token] += dsum    dsegment[segment] += dsum    dposition[position] += dsum
//
// A worker has some columns of all tables, for a row may come up many times.
func (e *Embeddings) Backward(dy []float32) {
	n, h := len(e.batch.Tokens), e.Word.Shape[1]
	e.dy, e.dnorm = dy, grow(e.dnorm, n*h)
	parallel(n, rowGrain, e.dropGrads)
	e.dsum = e.norm.Backward(e.dnorm)
	parallelColumns(h, e.addGrads)
}

func (e *Embeddings) dropoutGradRows(lo, hi int) {
	h := e.Word.Shape[1]
	e.dropout.apply(e.dnorm[lo*h:hi*h], e.dy[lo*h:hi*h], lo*h)
}

func (e *Embeddings) addGradColumns(lo, hi int) {
	h := e.Word.Shape[1]
	for r := range e.batch.Tokens {
		dsum := e.dsum[r*h+lo : r*h+hi]
		kernels.add(e.Word.gradRow(e.batch.Tokens[r])[lo:hi], dsum)
		kernels.add(e.Segment.gradRow(e.batch.Segments[r])[lo:hi], dsum)
		kernels.add(e.Position.gradRow(e.batch.Positions[r])[lo:hi], dsum)
	}
}
