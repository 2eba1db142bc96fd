// BERT, pre-trained from scratch: a lesson that runs.
//
// Most tasks have few labelled examples, and text without labels is everywhere. So let
// a model read first. Pre-training hides some words of the text, and the model learns to
// guess them; what was hidden is the right answer, and nobody has to label anything. To
// guess well it has to know what words mean and how they go together, and that serves
// other tasks too: transfer learning takes the pre-trained model over and trains it a
// little on the few examples. BERT (Devlin and others, 2018) is this idea for the encoder
// of a Transformer: Bidirectional Encoder Representations from Transformers.
//
// # The order in which to read
//
// A file uses only what the files before it define (TestReadingOrder). The ground may be
// skipped: its functions do what their comments say. Numbers are the steps of the lesson.
//
// The ground:
//
//	kernels_generic.go    the inner loops, in the plainest Go
//	kernels_bf16.go       the same for bfloat16 (-bf16)
//	kernels_table.go      all of them, by name
//	kernels_amd64.go      the same in assembly (kernels_amd64.s), to the same bits
//	kernels_arm64.go      the same for arm64 (kernels_arm64.s)
//	kernels_numbers.go    the numbers that both read
//	limits.go             what there is of processors, memory and room
//	limits_unix.go        what only Unix tells of it,
//	limits_darwin.go      what only macOS,
//	limits_windows.go     and what only Windows
//	parallel.go           how work is shared out
//	parallel_linux.go     what only Linux does for it
//	matmul.go             the matrix product
//	random.go             chance, as a function
//	numbers.go            small functions of numbers
//	compact.go            lists that take little memory
//	encodings.go          text in other encodings, and what is no text
//	messages.go           what went wrong, in words
//	files.go              reading with care; writing wholly or not at all
//	files_unix.go         the lock for it
//	files_windows.go      and on Windows
//
// The lesson:
//
//	unicode_table.go    1 (data)
//	words.go            1 text becomes words
//	wordcache.go        1 words that have come up lately (for speed; may be skipped)
//	tokenizer.go        1 words become tokens and ids: [CLS] A [SEP] B [SEP]
//	text.go             1 files become documents and sentences
//	vocabulary.go       1 where the pieces of words come from
//	activations.go      2 functions that are not linear, by name
//	config.go           2 the sizes of a model, and what it is for
//	parameters.go       2 what is learnt, and the values from which it starts
//	layers.go           2 the parts that everything is built from, forward and backward
//	embeddings.go       2 an id becomes a vector: token + segment + position
//	attention.go        3 the encoder: tokens look at one another
//	bert.go             4 the whole model and its two heads (this file)
//	predict.go          4 what a model makes of one sequence
//	corpus.go           5 a text in tokens
//	examples.go         5 masked words (MLM) and pairs of sentences (NSP)
//	example_files.go    5 examples in files
//	settings.go         6 how to train, in the paper and here
//	stream.go           6 examples without end, batch by batch
//	optimizer.go        6 clipping and AdamW: from gradients to the next parameters
//	accumulate.go       6 a batch too large for the memory, in parts
//	cost.go             6 what a training costs: tokens, operations, memory
//	evaluate.go         6 how well it does on what it has never seen; warnings
//	train.go            6 the loop
//	safetensors.go      7 the file format of parameters
//	tokenizer_json.go   7 a tokenizer in one file
//	tokenizer_files.go  7 a tokenizer's files, and the tokens that were added to it
//	weight_files.go     7 the files with a model's parameters
//	model_files.go      7 the saved model, in Hugging Face's format
//	checkpoint.go       7 stopped anywhere, and gone on with
//	finetune.go         8 transfer: a new head on a trained encoder
//	score.go            8 how good that is, counted as the field counts
//	classify.go         8 a task: a label for a sentence or a pair
//	values.go           8 two more: a number, or several labels at once
//	rows.go             8 the rows of a file, in columns
//	labelled_files.go   8 labelled sentences in files
//	answer.go           8 a task: the answer to a question, in a passage
//	tag.go              8 a task: a label for each word
//	tagged_files.go     8 labelled words in files
//	study.go            8 what pre-training is worth
//
// The commands:
//
//	claim.go              a run has its folder for itself
//	flags.go              flags that mean something
//	progress.go           how it goes, while it does
//	command.go            what all commands share
//	interrupt.go          asked to end
//	pictures.go           numbers become shapes
//	report_past.go        what a run keeps for its page
//	report_parts.go       what is on the page
//	report.go             report, and the page beside a run: the lesson in pictures
//	command_text.go       vocab, tokenize, examples
//	diagnosis.go          what is wrong with a corpus
//	command_plan.go       pretrain -plan: what a training would cost
//	command_pretrain.go   pretrain
//	command_eval.go       eval: how well a model does on a text
//	score_tables.go       scores, for people to read
//	command_finetune.go   finetune
//	command_use.go        fill, next, classify, tag, answer
//	command_embed.go      embed
//	story.go              tables that show what goes on inside
//	command_explain.go    explain: the steps, for sentences of your own
//	command_demo.go       demo: the lesson as a story
//	main.go               the list of the commands
//
// # Words
//
//	token      a word piece, or a special token: [CLS] [SEP] [MASK] [UNK] [PAD]
//	segment    A (0) or B (1): the sentence that a token belongs to
//	MLM        masked language modelling: guess the hidden tokens
//	NSP        next sentence prediction: does B follow A? 0 = IsNext, 1 = NotNext
//	logits     scores, before the softmax (e^x over the sum of all e^x) makes them
//	           probabilities
//	loss       how surprised the model is by the right answers: −ln p, on average
//	gradient   how the loss changes with each of some numbers
//	batch      the sequences of one step; step: one change of all parameters
//	epoch      once through what is trained on; held out: never trained on, to test with
//	head       in attention, one of A that look at the same time; on top of the encoder,
//	           what makes logits for a task
//	forward    from the input to the loss; backward: from the loss to the gradients
//	dx         the gradient of the loss with respect to x, of x's shape
//
// Shapes: N tokens in the batch, S sequences, T tokens of one sequence, H hidden
// size, A heads, D = H/A, I intermediate size, V vocabulary, M tokens to be guessed.
// A matrix (N, H) is a []float32 with its rows one after the other.
//
// A batch has no padding. Its sequences lie end to end, and only attention needs
// to know where each begins; so there is no attention mask either.
//
// In the files of the lesson a function, type or method whose name begins with a small
// letter is used by its own file alone; one with a capital may be used by others. No
// function or type of the ground or of the commands has a capital.
package main

import "fmt"

// Step 4 of the lesson: the whole model. On the encoder sit two heads, one for each task of
// pre-training, and their parts come first here.

// Pooler makes one vector of a sequence, from its first token: [CLS] stands for
// the whole (Hugging Face's BertPooler).
//
//	y = tanh(Linear(x[first]))
type Pooler struct {
	dense  *Linear
	starts []int     // (S) row of each [CLS]
	first  []float32 // (S, H)
	y      []float32 // (S, H)
}

// NewPooler makes a pooler from and to the hidden size.
func NewPooler(ps *Parameters, c *Config) *Pooler {
	return &Pooler{dense: NewLinear(ps, "bert.pooler.dense", c.HiddenSize, c.HiddenSize)}
}

// Forward: (N, H) → (S, H).
func (p *Pooler) Forward(x []float32, starts []int) []float32 {
	_, h := p.dense.OutIn()
	p.starts = starts[:len(starts)-1]
	p.first = GatherRows(p.first, x, p.starts, h)
	p.y = TanhForward(p.dense.Forward(p.first))
	return p.y
}

// Backward adds to the rows of dx (N, H) that Forward took.
func (p *Pooler) Backward(dy, dx []float32) {
	_, h := p.dense.OutIn()
	AddRows(dx, p.dense.Backward(TanhBackward(dy, p.y)), p.starts, h)
}

// MLMHead guesses the masked tokens (Hugging Face's BertLMPredictionHead). The
// decoder's weights are the word embeddings: a token is likely if its vector
// points to where the transformed one points. Only masked rows come here.
//
//	logits = LayerNorm(GELU(Linear(x)))·wordᵀ + bias
type MLMHead struct {
	transform  *Linear
	activation *Activation
	norm       *LayerNorm
	decoder    *Linear // (H) → (V)

	masked []int     // (M) rows of x
	rows   []float32 // (M, H)
}

func newMLMHead(ps *Parameters, c *Config, word *Param) *MLMHead {
	const name = "cls.predictions."
	return &MLMHead{
		transform:  NewLinear(ps, name+"transform.dense", c.HiddenSize, c.HiddenSize),
		activation: NewActivation(c.HiddenAct),
		norm:       NewLayerNorm(ps, name+"transform.LayerNorm", c.HiddenSize, c.Epsilon()),
		decoder:    NewLinearOf(word, ps.Bias(name+"bias", c.VocabSize)),
	}
}

// Forward: (N, H) and M rows of it → (M, V). It keeps which rows, for its backward.
func (d *MLMHead) Forward(x []float32, masked []int) []float32 {
	_, h := d.transform.OutIn()
	d.masked, d.rows = masked, GatherRows(d.rows, x, masked, h)
	return d.decoder.Forward(d.norm.Forward(d.activation.Forward(d.transform.Forward(d.rows))))
}

// Backward adds to the masked rows of dx (N, H). The word embeddings are at both ends of
// the model, so two gradients meet in their one Grad: that of the decoder, added here, and
// that of the tokens that went in, which Embeddings.Backward adds to it.
func (d *MLMHead) Backward(dlogits, dx []float32) {
	_, h := d.transform.OutIn()
	drows := d.transform.Backward(d.activation.Backward(d.norm.Backward(d.decoder.Backward(dlogits))))
	AddRows(dx, drows, d.masked, h)
}

// GatherRows copies rows of x, each of h floats, to buf, which grows.
func GatherRows(buf, x []float32, rows []int, h int) []float32 {
	buf = Grow(buf, len(rows)*h)
	for i, r := range rows {
		copy(buf[i*h:][:h], x[r*h:])
	}
	return buf
}

// AddRows adds row i of drows to row rows[i] of dx.
func AddRows(dx, drows []float32, rows []int, h int) {
	for i, r := range rows {
		kernels.add(dx[r*h:][:h], drows[i*h:][:h])
	}
}

// Totals are losses and right answers, added up over examples.
type Totals struct {
	MLMLoss, NSPLoss       float64
	MLMCount, NSPCount     int // masked tokens, sentence pairs
	MLMCorrect, NSPCorrect int
}

// Add adds other totals.
func (t *Totals) Add(u Totals) {
	t.MLMLoss += u.MLMLoss
	t.NSPLoss += u.NSPLoss
	t.MLMCount += u.MLMCount
	t.NSPCount += u.NSPCount
	t.MLMCorrect += u.MLMCorrect
	t.NSPCorrect += u.NSPCorrect
}

// Model is BERT with its two pre-training heads (Hugging Face's
// BertForPreTraining), or fine-tuned with another head instead.
type Model struct {
	Config Config
	Parameters

	embeddings *Embeddings
	encoder    []*EncoderLayer
	pooler     *Pooler // nil where the head has no use for it
	mlm        *MLMHead
	nsp        *Linear  // (H) → 2
	head       TaskHead // of a fine-tuned model, instead of mlm and nsp

	encoderParams int // how many of List belong to embeddings and encoder
	dropouts      []*Dropout
	batch         *Batch
	dx            []float32 // (N, H)

	mlmLoss, nspLoss *CrossEntropy
	mlmLogits        []float32 // (M, V)
	nspLogits        []float32 // (S, 2)
}

// NewModel makes a model with the values that training begins with.
func NewModel(c Config, seed uint64) (*Model, error) {
	m, err := NewEmptyModel(c)
	if err != nil {
		return nil, err
	}
	m.Allocate()
	m.Initialize(seed, float32(c.InitializerRange))
	return m, nil
}

// NewEmptyModel makes a model that has no memory for its parameters yet.
func NewEmptyModel(config Config) (*Model, error) {
	if err := config.Check(); err != nil {
		return nil, err
	}
	m := &Model{Config: config, mlmLoss: NewCrossEntropy(), nspLoss: NewCrossEntropy()}
	c, ps := &m.Config, &m.Parameters
	m.embeddings = NewEmbeddings(ps, c, m.NewDropout(&c.HiddenDropout))
	for i := range c.NumHiddenLayers {
		m.encoder = append(m.encoder, NewEncoderLayer(ps, fmt.Sprintf("bert.encoder.layer.%d.", i), c, m.NewDropout))
		m.encoder[i].ShareMemory(m.encoder[0])
	}
	m.encoderParams = len(ps.List)
	if newHead := taskHeads[c.Task()]; newHead != nil {
		m.head = newHead(m)
		return m, nil
	}
	m.pooler = NewPooler(ps, c)
	m.mlm = newMLMHead(ps, c, m.embeddings.Word)
	m.nsp = NewLinear(ps, "cls.seq_relationship", c.HiddenSize, 2)
	return m, nil
}

// NewDropout makes the next dropout of the model.
func (m *Model) NewDropout(rate *float64) *Dropout {
	d := NewDropout(rate, len(m.dropouts))
	m.dropouts = append(m.dropouts, d)
	return d
}

// SetDropout prepares the dropout of a training step.
func (m *Model) SetDropout(seed uint64, step int) {
	for _, d := range m.dropouts {
		d.Set(*d.rate, seed, step)
	}
}

// NoDropout switches dropout off, as it is for everything but training.
func (m *Model) NoDropout() {
	for _, d := range m.dropouts {
		d.Set(0, 0, 0)
	}
}

// Forward takes the batch through the model: its logits, for the masked
// tokens over the vocabulary and for each sequence over IsNext and NotNext.
func (m *Model) Forward(b *Batch) (mlmLogits, nspLogits []float32) {
	x := m.Encode(b)
	m.mlmLogits = m.mlm.Forward(x, b.Targets)                  // (M, V)
	m.nspLogits = m.nsp.Forward(m.pooler.Forward(x, b.Starts)) // (S, 2)
	return m.mlmLogits, m.nspLogits
}

// Encode is the part of Forward below the heads: (N, H).
func (m *Model) Encode(b *Batch) []float32 {
	m.batch = b
	x := m.embeddings.Forward(b)
	for _, layer := range m.encoder {
		x = layer.Forward(x, b.Starts)
	}
	return x
}

// Loss compares the logits with the labels and replaces them by the gradient
// of the loss, which is the mean over masked tokens + the mean over sequences.
func (m *Model) Loss(b *Batch) Totals { return m.LossOfPart(b, len(b.Labels), len(b.NextLabels)) }

// LossOfPart is Loss for a part of a batch; masked and sequences are the
// numbers of the whole batch.
func (m *Model) LossOfPart(b *Batch, masked, sequences int) Totals {
	t := Totals{MLMCount: len(b.Labels), NSPCount: len(b.NextLabels)}
	t.MLMLoss, t.MLMCorrect = m.mlmLoss.ForwardBackward(m.mlmLogits, b.Labels, 1/float32(masked))
	t.NSPLoss, t.NSPCorrect = m.nspLoss.ForwardBackward(m.nspLogits, b.NextLabels, 1/float32(sequences))
	return t
}

// Backward goes through Forward in reverse. It adds to the gradients of all parameters.
func (m *Model) Backward() { m.EncodeBackward(m.HeadsBackward()) }

// HeadsBackward is the part of Backward above the encoder, whose output gets the
// gradient dx (N, H).
func (m *Model) HeadsBackward() []float32 {
	dx := m.ZeroGradient()
	m.pooler.Backward(m.nsp.Backward(m.nspLogits), dx)
	m.mlm.Backward(m.mlmLogits, dx)
	return dx
}

// ZeroGradient is the gradient of the encoder's output (N, H) before the heads
// add to it.
func (m *Model) ZeroGradient() []float32 {
	m.dx = Grow(m.dx, len(m.batch.Tokens)*m.Config.HiddenSize)
	clear(m.dx)
	return m.dx
}

// EncodeBackward is the backward of Encode.
func (m *Model) EncodeBackward(dx []float32) { m.embeddings.Backward(m.LayersBackward(dx)) }

// LayersBackward takes the gradient of the encoder's output to that of its input (N, H).
func (m *Model) LayersBackward(dx []float32) []float32 {
	for i := len(m.encoder) - 1; i >= 0; i-- {
		dx = m.encoder[i].Backward(dx)
	}
	return dx
}

// A TaskHead makes the logits of a task from what the encoder has made of a batch. In a
// model that is fine-tuned for the task it takes the place of the two heads (step 8).
type TaskHead interface {
	// Forward: (N, H) → the logits, a row for each sequence, target or token.
	Forward(x []float32, b *Batch) []float32
	// Loss compares the logits with what the batch says is right, and replaces them by
	// the gradient of the mean loss.
	Loss(logits []float32, b *Batch) TaskLoss
	// Backward adds to the gradient of x, dx (N, H).
	Backward(dlogits, dx []float32)
}

// A TaskLoss is the sum of Count losses, and how many guesses of as many are right.
type TaskLoss struct {
	Sum            float64
	Count, Correct int
}

// taskHeads make the heads of tasks, by Config.Task. Each task adds its own.
var taskHeads = map[string]func(m *Model) TaskHead{}
