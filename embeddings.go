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
// The sum (BERT paper, section 3, figure 2) is normalised, and in training some of it is
// dropped (as in Google's code; Hugging Face's BertEmbeddings).

// A Batch is some sequences, end to end, without padding: N rows. Targets, Labels and
// NextLabels say what is to be guessed of them (step 5; other tasks have them in step 8).
type Batch struct {
	Tokens     []int32   // (N)
	Segments   []int32   // (N)
	Positions  []int32   // (N) within the sequence
	Starts     []int     // (S+1) row of each [CLS], and N
	Targets    []int     // (M) rows whose token is to be guessed
	Labels     []int32   // (M) the tokens that were there
	NextLabels []int32   // (S) 0 = IsNext, 1 = NotNext
	Values     []float32 // numbers to be guessed, instead of labels
}

// Reset empties the batch.
func (b *Batch) Reset() {
	*b = Batch{
		Tokens: b.Tokens[:0], Segments: b.Segments[:0], Positions: b.Positions[:0], Starts: append(b.Starts[:0], 0),
		Targets: b.Targets[:0], Labels: b.Labels[:0], NextLabels: b.NextLabels[:0], Values: b.Values[:0],
	}
}

// Add appends a sequence.
func (b *Batch) Add(tokens, segments []int32) {
	b.Tokens = append(b.Tokens, tokens...)
	b.Segments = append(b.Segments, segments...)
	for i := range tokens {
		b.Positions = append(b.Positions, int32(i))
	}
	b.Starts = append(b.Starts, len(b.Tokens))
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
	dsum  []float32 // (N, H)

	sumUp, addGrads func(lo, hi int)
}

// NewEmbeddings makes the three tables, which are the first of a model's parameters.
func NewEmbeddings(ps *Parameters, c *Config, dropout *Dropout) *Embeddings {
	const name = "bert.embeddings."
	e := &Embeddings{
		Word:     ps.Matrix(name+"word_embeddings.weight", c.VocabSize, c.HiddenSize),
		Position: ps.Matrix(name+"position_embeddings.weight", c.MaxPositionEmbeddings, c.HiddenSize),
		Segment:  ps.Matrix(name+"token_type_embeddings.weight", c.TypeVocabSize, c.HiddenSize),
		norm:     NewLayerNorm(ps, name+"LayerNorm", c.HiddenSize, c.Epsilon()),
		dropout:  dropout,
	}
	e.sumUp, e.addGrads = e.sumRows, e.addGradColumns
	return e
}

// Forward: the N tokens of a batch → (N, H).
//
//	y = dropout(LayerNorm(word[token] + segment[segment] + position[position]))
func (e *Embeddings) Forward(b *Batch) []float32 {
	n, h := len(b.Tokens), e.Word.Shape[1]
	e.batch, e.sum = b, Grow(e.sum, n*h)
	parallel(n, rowGrain, e.sumUp)
	e.y = e.dropout.Forward(e.norm.Forward(e.sum))
	return e.y
}

// sumRows computes the rows lo to hi of sum, word + segment + position in this order: in
// another one the last bit may differ.
func (e *Embeddings) sumRows(lo, hi int) {
	h := e.Word.Shape[1]
	for r := lo; r < hi; r++ {
		sum := e.sum[r*h:][:h]
		copy(sum, e.Word.Row(e.batch.Tokens[r]))
		kernels.add(sum, e.Segment.Row(e.batch.Segments[r]))
		kernels.add(sum, e.Position.Row(e.batch.Positions[r]))
	}
}

// Backward adds to the gradients of the three tables.
func (e *Embeddings) Backward(dy []float32) {
	e.AddGradients(e.batch, e.SumBackward(dy))
}

// SumBackward is the gradient of the sum (N, H), and overwrites dy.
func (e *Embeddings) SumBackward(dy []float32) []float32 {
	return e.norm.Backward(e.dropout.Backward(dy))
}

// AddGradients adds the gradient of a sum to each of the three rows that it is made of,
// to each the whole:
//
//	dword[token] += dsum    dsegment[segment] += dsum    dposition[position] += dsum
//
// Columns are shared out, and not rows, because a row of a table may come up many times.
func (e *Embeddings) AddGradients(b *Batch, dsum []float32) {
	e.batch, e.dsum = b, dsum
	parallelColumns(e.Word.Shape[1], e.addGrads)
}

// addGradColumns adds the columns lo to hi of dsum to those of the three tables.
func (e *Embeddings) addGradColumns(lo, hi int) {
	h := e.Word.Shape[1]
	for r := range e.batch.Tokens {
		dsum := e.dsum[r*h+lo : r*h+hi]
		kernels.add(e.Word.GradRow(e.batch.Tokens[r])[lo:hi], dsum)
		kernels.add(e.Segment.GradRow(e.batch.Segments[r])[lo:hi], dsum)
		kernels.add(e.Position.GradRow(e.batch.Positions[r])[lo:hi], dsum)
	}
}

// Vectors are what token r of the batch becomes on its way into the encoder: its word's,
// its segment's and its position's, their sum, and that normalised; (H) each.
func (e *Embeddings) Vectors(r int) [5][]float32 {
	b, h := e.batch, e.Word.Shape[1]
	return [5][]float32{
		e.Word.Row(b.Tokens[r]), e.Segment.Row(b.Segments[r]), e.Position.Row(b.Positions[r]),
		e.sum[r*h:][:h], e.y[r*h:][:h],
	}
}
