package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// The lesson as tests: each says what a step claims, and then shows it. What
// else has to hold is in the tests beside the files.

// Step 1: a word that the vocabulary has not is put together from pieces, the
// longest first; two sentences become one sequence in two segments; and a
// vocabulary is learnt by joining what stands together most often.
func TestStep1Tokens(t *testing.T) {
	tokenizer, err := NewTokenizer(strings.Fields("[PAD] [UNK] [CLS] [SEP] [MASK] my dog is cute he likes play ##ing ##s pl . ,"), true)
	check(t, err)
	tokens := func(text string) string { return strings.Join(tokenizer.Tokens(tokenizer.Encode(text)), " ") }

	equal(t, tokens("He likes playing."), "he likes play ##ing .")
	equal(t, tokens("PLAYS, dogs, Play"), "play ##s , dog ##s , play")
	equal(t, tokens("My cat"), "my [UNK]")
	equal(t, tokens("my [MASK] is cute"), "my [MASK] is cute")
	equal(t, tokenizer.Text(tokenizer.Encode("he likes playing.")), "he likes playing .")

	ids, segments := tokenizer.Pair(tokenizer.Encode("My dog is cute"), tokenizer.Encode("he likes playing"))
	equal(t, strings.Join(tokenizer.Tokens(ids), " "), "[CLS] my dog is cute [SEP] he likes play ##ing [SEP]")
	equal(t, segments, []int32{0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1}, "the segments")

	words, err := TrainVocabulary(map[string]int{"hug": 10, "pug": 5, "hugs": 3}, 100)
	check(t, err)
	equal(t, strings.Join(words, " "), "[PAD] [UNK] [CLS] [SEP] [MASK] g h p s u ##g ##s ##u ##ug hug pug hugs")
}

// Step 1: of the ways to learn and use pieces of words. BPE joins what stands together most
// often, and spells a word by the same joins; from letters it does not know all words, from
// bytes it does. WordPiece prefers what belongs together, and knows a word or does not.
func TestStep1ThreeWays(t *testing.T) {
	text := map[string]int{"hug": 10, "pug": 5, "pun": 12, "bun": 4, "hugs": 5}
	merges := [][2]string{}
	spelled := map[string][]string{} // the words of the text, in symbols
	for word := range text {
		spelled[word] = strings.Split(word, "")
	}
	for range 3 { // byte-pair encoding
		counts := map[[2]string]int{}
		for word, symbols := range spelled {
			for i := range len(symbols) - 1 {
				counts[[2]string{symbols[i], symbols[i+1]}] += text[word]
			}
		}
		var best [2]string
		for pair, n := range counts {
			if n > counts[best] {
				best = pair
			}
		}
		merges = append(merges, best)
		for word, symbols := range spelled {
			spelled[word] = merge(symbols, best)
		}
	}
	equal(t, merges, [][2]string{{"u", "g"}, {"u", "n"}, {"h", "ug"}})

	var joins [][2]string
	settings := DefaultVocabularySettings(19)
	settings.OnJoin = func(left, right, joined string, n int) { joins = append(joins, [2]string{left, right}) }
	byCount, err := settings.Train(text)
	check(t, err)
	equal(t, joins, [][2]string{{"##u", "##g"}, {"##u", "##n"}, {"h", "##ug"}}) // as BPE does
	settings.Likelihood, joins = true, nil
	_, err = settings.Train(text)
	check(t, err)
	equal(t, joins[0], [2]string{"##g", "##s"})

	mug := strings.Split("mug", "") // m is not in the text
	for _, pair := range merges {
		mug = merge(mug, pair)
	}
	equal(t, mug, []string{"m", "ug"}) // byte-level BPE: m is one of the 256 bytes
	for i, symbol := range mug {       // BPE: the letters are those of the text
		if _, known := spelledWith(text)[symbol]; !known && len(symbol) == 1 {
			mug[i] = "<unk>"
		}
	}
	equal(t, mug, []string{"<unk>", "ug"})
	tokenizer, err := NewTokenizer(byCount, true)
	check(t, err)
	equal(t, tokenizer.Tokens(tokenizer.Encode("mug hug")), []string{unkToken, "hug"})
}

// spelledWith are the letters of some words.
func spelledWith(words map[string]int) map[string]bool {
	letters := map[string]bool{}
	for word := range words {
		for _, letter := range strings.Split(word, "") {
			letters[letter] = true
		}
	}
	return letters
}

// merge joins two symbols wherever they stand side by side.
func merge(symbols []string, pair [2]string) (merged []string) {
	for i := 0; i < len(symbols); i++ {
		if i+1 < len(symbols) && symbols[i] == pair[0] && symbols[i+1] == pair[1] {
			merged = append(merged, pair[0]+pair[1])
			i++
		} else {
			merged = append(merged, symbols[i])
		}
	}
	return merged
}

// Step 2: what enters the encoder is token + segment + position, normalised; so
// the same word has another vector in another place or in the other sentence.
func TestStep2Embeddings(t *testing.T) {
	m := smallModel(t)
	b := &Batch{}
	b.Reset()
	b.Add([]int32{2, 7, 8, 3, 7, 3}, []int32{0, 0, 0, 0, 1, 1})
	for range 3 { // enough rows for more than one range
		b.Add(slices.Repeat([]int32{9, 10}, 10), make([]int32, 20))
	}
	y, e, h := m.embeddings.Forward(b), m.embeddings, m.Config.HiddenSize
	for r, id := range b.Tokens {
		mean, square := 0.0, 0.0
		for i := range h {
			want := e.Word.Row(id)[i] + e.Segment.Row(b.Segments[r])[i] + e.Position.Row(b.Positions[r])[i]
			equal(t, e.sum[r*h+i], want, fmt.Sprintf("row %d, number %d of token + segment + position", r, i))
			mean += float64(y[r*h+i]) / float64(h)
			square += float64(y[r*h+i]) * float64(y[r*h+i]) / float64(h)
		}
		if math.Abs(mean) > 1e-5 || math.Abs(square-mean*mean-1) > 1e-4 {
			t.Errorf("row %d has mean %v and variance %v, want 0 and 1", r, mean, square-mean*mean)
		}
	}
	if slices.Equal(y[1*h:2*h], y[4*h:5*h]) {
		t.Error("token 7 has the same vector at position 1 of A and at position 4 of B")
	}
}

// Step 3: each token gathers from all tokens of its own sequence, before it and after it,
// with weights that are softmax(q·k/√D) and so add up to 1. Other sequences of the batch do
// not exist for it, so that no padding and no mask are needed.
func TestStep3Attention(t *testing.T) {
	m := smallModel(t)
	one := Example{Tokens: []int32{2, 7, 8, 9, 3}, Segments: make([]int32, 5)}
	two := Example{Tokens: []int32{2, 10, 3, 11, 12, 13, 3}, Segments: make([]int32, 7)}
	encode := func(examples ...Example) []float32 {
		b := &Batch{}
		b.Reset()
		for _, e := range examples {
			b.AddExample(e)
		}
		return slices.Clone(m.Encode(b))
	}
	together := encode(one, two)
	equal(t, together, append(encode(one), encode(two)...), "two sequences in a batch, and each alone")

	a := m.encoder[0].attention // of two, which was encoded last
	for row := range slices.Chunk(a.probs[:a.heads*7*7], 7) {
		sum := 0.0
		for _, p := range row {
			sum += float64(p)
		}
		if math.Abs(sum-1) > 1e-6 || slices.Min(row) <= 0 {
			t.Errorf("the weights are %v, want more than 0 each and 1 together", row)
		}
	}

	for i := range 7 { // the first head, from its queries and keys
		scores, powers := make([]float64, 7), 0.0
		for j := range 7 {
			q, k := a.headOf(a.query.y.floats, 0, 0).row(i), a.headOf(a.key.y.floats, 0, 0).row(j)
			for d := range q {
				scores[j] += float64(q[d]) * float64(k[d]) / math.Sqrt(float64(len(q)))
			}
			powers += math.Exp(scores[j])
		}
		for j := range 7 {
			if got, want := float64(a.probs[7*i+j]), math.Exp(scores[j])/powers; math.Abs(got-want) > 1e-5 {
				t.Fatalf("token %d looks at token %d with weight %.6f, want softmax(q·k/√D), %.6f", i, j, got, want)
			}
		}
	}

	changed := Example{Tokens: slices.Clone(one.Tokens), Segments: one.Segments}
	changed.Tokens[3] = 14
	if h := m.Config.HiddenSize; slices.Equal(encode(one)[h:2*h], encode(changed)[h:2*h]) {
		t.Error("token 1 does not see that token 3, on its right, has changed")
	}
}

// Step 4: the whole model has PyTorch's losses, activations and gradients, and
// after three steps of AdamW its weights.
func TestStep4Golden(t *testing.T) {
	g, m, b := loadGolden(t)
	m.Forward(b)
	g.near(t, "activations/embeddings", m.embeddings.y)
	for i, layer := range m.encoder {
		n := b.Starts[1]
		g.near(t, "activations/layer."+string(rune('0'+i)), layer.output.norm.y)
		g.near(t, "activations/attention."+string(rune('0'+i)), layer.attention.probs[:g.Config.NumAttentionHeads*n*n])
	}
	g.near(t, "activations/pooled", m.pooler.y)
	g.near(t, "activations/mlm_logits", m.mlmLogits)
	g.near(t, "activations/nsp_logits", m.nspLogits)
	if t.Failed() {
		return
	}

	optimizer := NewAdamW(&m.Parameters, &Settings{Beta1: g.Optimizer.Beta1, Beta2: g.Optimizer.Beta2, WeightDecay: g.Optimizer.WeightDecay})
	for step, want := range g.Optimizer.Losses {
		clear(m.Grad)
		m.Forward(b)
		s := m.Loss(b)
		m.Backward()
		mlm, nsp := s.MLMLoss/float64(s.MLMCount), s.NSPLoss/float64(s.NSPCount)
		if math.Abs(mlm-want[0]) > 1e-5 || math.Abs(nsp-want[1]) > 1e-5 {
			t.Errorf("step %d: losses are %.6f and %.6f, PyTorch's are %.6f", step, mlm, nsp, want)
		}
		norm := optimizer.Norm()
		if step == 0 {
			for _, p := range m.List {
				g.near(t, "grads/"+p.Name, p.Grad)
			}
			if math.Abs(norm/g.GradNorm-1) > 1e-6 {
				t.Errorf("the gradient's norm is %v, PyTorch's %v", norm, g.GradNorm)
			}
		}
		optimizer.Step(g.Optimizer.LearningRate, norm)
	}
	for _, p := range m.List {
		g.near(t, "after3/"+p.Name, p.Value)
	}
}

// Step 4: a new model knows nothing. It is as surprised as if it threw dice, of V
// faces for a token and of two for the next sentence.
func TestStep4KnowsNothingAtFirst(t *testing.T) {
	trainer, _ := demoTrainer(t)
	s := totalsOf(trainer.Model, trainer.HeldOut[:200])
	mlm, dice := s.MLMLoss/float64(s.MLMCount), math.Log(float64(trainer.Model.Config.VocabSize))
	if math.Abs(mlm/dice-1) > 0.05 {
		t.Errorf("the MLM loss is %.3f, want ln V = %.3f within 5%%", mlm, dice)
	}
	if nsp := s.NSPLoss / float64(s.NSPCount); math.Abs(nsp-math.Ln2) > 0.1 {
		t.Errorf("the NSP loss is %.3f, want about ln 2 = %.3f", nsp, math.Ln2)
	}
}

// Step 5: of all tokens 15% are to be guessed, never [CLS] or [SEP]; of these 80%
// are masked, 10% replaced and 10% left. Half of the pairs are neighbours; the
// others are from two documents.
func TestStep5Examples(t *testing.T) {
	trainer, tokenizer := demoTrainer(t)
	stream := trainer.Source.(*CorpusSource).Stream
	corpus := stream.Corpus
	documentOf := func(sentence int) int {
		d, found := slices.BinarySearch(corpus.documents, sentence)
		if !found {
			d--
		}
		return d
	}
	var tokens, guessed, masked, kept, pairs, neighbours int
	for epoch := range uint64(12) {
		for i, p := range corpus.Pairs(stream.Documents, 75, 0.1, 1, epoch) {
			e := corpus.Example(p, tokenizer, 75, false, random(1, forMasks, epoch, uint64(i)))
			pairs++
			if e.NextLabel == 0 {
				neighbours++
			}
			if p.isNext != (e.NextLabel == 0) || p.isNext && p.a[1] != p.b[0] || p.isNext != (documentOf(p.a[0]) == documentOf(p.b[0])) {
				t.Fatalf("pair %+v has label %d", p, e.NextLabel)
			}
			if len(e.Tokens) > 75 {
				t.Fatalf("an example has %d tokens, want at most 75", len(e.Tokens))
			}
			tokens += len(e.Tokens)
			guessed += len(e.Targets)
			for k, at := range e.Targets {
				switch e.Tokens[at] {
				case tokenizer.mask:
					masked++
				case e.Labels[k]:
					kept++
				case tokenizer.cls, tokenizer.sep, tokenizer.pad, tokenizer.unk:
					t.Fatalf("a token was replaced by %s", tokenizer.Vocabulary[e.Tokens[at]])
				}
				if e.Labels[k] == tokenizer.cls || e.Labels[k] == tokenizer.sep {
					t.Fatalf("%s is to be guessed", tokenizer.Vocabulary[e.Labels[k]])
				}
			}
		}
	}
	for _, share := range []struct {
		what           string
		n, of          int
		want, allowing float64
	}{
		{"guessed", guessed, tokens, 0.15, 0.003},
		{"masked", masked, guessed, 0.8, 0.01},
		{"kept", kept, guessed, 0.1, 0.01},
		{"neighbours", neighbours, pairs, 0.5, 0.015},
	} {
		if got := float64(share.n) / float64(share.of); math.Abs(got-share.want) > share.allowing {
			t.Errorf("%s: %d of %d, %.4f, want %.3f", share.what, share.n, share.of, got, share.want)
		}
	}
}

// Step 5: a model may look both ways only because what it guesses is hidden. In a language
// of 16 pairs of words, where one says what the other is, a model that learns from masks
// comes to know the pairs. One that sees its answers copies them, gets all of them right,
// and has learnt nothing: what it does not see, it does not know.
func TestStep5WhyWordsAreHidden(t *testing.T) {
	var masked, open ListSource
	for i := range int32(32) {
		at := 1 + i%2 // of [CLS] one other [SEP] one word is to be guessed
		e := Example{Tokens: []int32{2, 5 + i&^1, 6 + i&^1, 3}, Segments: make([]int32, 4), Targets: []int32{at}, Labels: []int32{5 + i}}
		open = append(open, e)
		e.Tokens = slices.Clone(e.Tokens)
		e.Tokens[at] = 4 // [MASK]
		masked = append(masked, e)
	}
	train := func(list ListSource) *Model {
		s := DefaultSettings()
		s.Steps, s.Batch, s.LearningRate = 200, 8, 1e-2
		s.Complete()
		trainer := &Trainer{Model: smallModel(t), Settings: s, Source: list}
		check(t, trainer.Train(t.Context()))
		return trainer.Model
	}
	right := func(m *Model, list []Example) int { return totalsOf(m, list).MLMCorrect }
	learner, copier := train(masked), train(open)
	if n := right(copier, open); n != len(open) {
		t.Errorf("a model that sees its answers gets %d of %d right, want all", n, len(open))
	}
	if knows, guesses := right(learner, masked), right(copier, masked); knows < len(masked)*9/10 || guesses > len(masked)/4 {
		t.Errorf("of %d hidden words, who has learnt from masks gets %d right, want 9 of 10; who has seen the answers %d, want 1 of 4 at most", len(masked), knows, guesses)
	} else {
		t.Logf("of %d hidden words, who has learnt from masks gets %d right, who has seen the answers %d", len(masked), knows, guesses)
	}
}

// Step 5: what the model is tried on, it has never seen: no sentence of a
// document that is held out stands in one that is trained on.
func TestStep5HeldOut(t *testing.T) {
	text, err := readText(bytes.NewReader(corpusText))
	check(t, err)
	tokenizer := demoTokenizer(t, text)
	corpus, err := corpusOf(text, tokenizer)
	check(t, err)
	training, heldOut := corpus.Split(1)
	if got, want := len(heldOut), len(text.Documents)/10; got != want || len(training)+len(heldOut) != len(text.Documents) {
		t.Fatalf("%d documents are held out and %d trained on, want a tenth of %d", got, len(training), len(text.Documents))
	}
	seen := map[string]bool{}
	for _, d := range training {
		for _, sentence := range text.Documents[d] {
			seen[sentence] = true
		}
	}
	for _, d := range heldOut {
		for _, sentence := range text.Documents[d] {
			if seen[sentence] {
				t.Errorf("%q is held out and trained on", sentence)
			}
		}
	}
}

// Step 6: training makes the model less surprised by what it has never seen, and
// the learning rate rises and falls as it should.
func TestStep6Training(t *testing.T) {
	s := Settings{Steps: 100, Warmup: 10, LearningRate: 0.5, Schedule: "linear"}
	for _, c := range []struct {
		step int
		want float64
	}{{0, 0}, {5, 0.25}, {10, 0.5}, {55, 0.25}, {100, 0}} {
		equal(t, s.Rate(c.step), c.want, fmt.Sprintf("the learning rate after %d of 100 steps, 10 of them warm-up", c.step))
	}
	s.Schedule = "constant"
	equal(t, s.Rate(99), 0.5, "the constant learning rate")
	s.Schedule, s.Warmup = "linear", 0
	equal(t, s.Rate(0), 0.5, "the learning rate of the first step without warm-up")
	s.Warmup = -1
	s.Complete()
	equal(t, s.Warmup, 10, "the warm-up of 100 steps if none is given, a tenth")

	trainer, _ := demoTrainer(t)
	trainer.HeldOut = trainer.HeldOut[:50]
	trainer.Settings.Steps, trainer.Settings.LogEvery = 60, 60
	trainer.Settings.LearningRate, trainer.Settings.Warmup = 5e-3, 10
	before := totalsOf(trainer.Model, trainer.HeldOut)
	check(t, trainer.Train(t.Context()))
	after := totalsOf(trainer.Model, trainer.HeldOut)
	if !(after.MLMLoss < 0.8*before.MLMLoss) || after.MLMCorrect < after.MLMCount/10 {
		t.Errorf("60 steps brought the MLM loss from %.2f to %.2f, with %d of %d right", before.MLMLoss/float64(before.MLMCount), after.MLMLoss/float64(after.MLMCount), after.MLMCorrect, after.MLMCount)
	}
}

// Step 7: a saved model is the same model.
func TestStep7SavedModel(t *testing.T) {
	trainer, tokenizer := demoTrainer(t)
	dir := filepath.Join(t.TempDir(), "model")
	check(t, SaveModel(dir, trainer.Model, tokenizer))
	m, loaded, _, err := LoadModel(dir)
	check(t, err)
	equal(t, m.Config, trainer.Model.Config)
	equal(t, loaded.Vocabulary, tokenizer.Vocabulary)
	equal(t, loaded.Rules, tokenizer.Rules)
	equal(t, m.Value, trainer.Model.Value, "the parameters")
	equal(t, totalsOf(m, trainer.HeldOut[:10]), totalsOf(trainer.Model, trainer.HeldOut[:10]))

	file, err := os.ReadFile(filepath.Join(dir, modelFile))
	check(t, err)
	header := binary.LittleEndian.Uint64(file)
	equal(t, header%8 == 0 && header < uint64(len(file)), true, "the length of the header, which aligns the numbers")
	var numbers []byte
	for _, v := range m.Value[:4] {
		numbers = binary.LittleEndian.AppendUint32(numbers, math.Float32bits(v))
	}
	equal(t, strings.Contains(string(file), string(numbers)), true, "the first numbers stand there, little-endian")
	equal(t, strings.HasPrefix(string(file[8:]), `{"__metadata__":{"format":"pt"}`), true, "the header begins with the metadata that Hugging Face asks for")
}

// oneAnswer is what the saved model of TestOneAnswer hashes to, everywhere.
const oneAnswer = "06930a441938497fc2e3e5ca8f74d973b7c0581aed33cd865142edebf2a3151f"

// One answer: the same command writes the same bytes on any number of threads,
// with AVX-512, with AVX2 and with Go alone, on every machine.
func TestOneAnswer(t *testing.T) {
	dir := t.TempDir()
	for _, setting := range []string{"GOMAXPROCS=1", workersWanted + "=2", workersWanted + "=3", "GODEBUG=cpu.avx512f=off", "GODEBUG=cpu.all=off"} {
		out := filepath.Join(dir, setting)
		status, _, stderr := runProgram(t, []string{setting}, "", "pretrain", "-corpus", "corpus.txt", "-out", out, "-vocab-size", "500",
			"-layers", "2", "-hidden", "48", "-heads", "3", "-batch", "4", "-max-seq", "40", "-short-seq", "20", "-short-part", "0.5", "-lr", "1e-3", "-steps", "20", "-log-every", "100")
		if status != exitDone {
			t.Fatalf("%s: exit status %d: %s", setting, status, stderr)
		}
		data, err := os.ReadFile(filepath.Join(out, modelFile))
		check(t, err)
		hash := sha256.Sum256(data)
		if got := hex.EncodeToString(hash[:]); got != oneAnswer {
			t.Errorf("%s: %s has SHA-256 %s, want %s", setting, modelFile, got, oneAnswer)
		}
	}
}

// equal fails unless got is want, and says what it is of, and where it first differs.
func equal(t *testing.T, got, want any, what ...string) {
	t.Helper()
	if reflect.DeepEqual(got, want) {
		return
	}
	name := strings.Join(append(what, ""), ": ")
	g, w := reflect.ValueOf(got), reflect.ValueOf(want)
	if g.Kind() != reflect.Slice || w.Kind() != reflect.Slice || g.Len() != w.Len() {
		t.Fatalf("%sgot %v, want %v", name, got, want)
	}
	first, different := -1, 0
	for i := range g.Len() {
		if !reflect.DeepEqual(g.Index(i).Interface(), w.Index(i).Interface()) {
			if different++; first < 0 {
				first = i
			}
		}
	}
	t.Fatalf("%selement %d is %v, want %v (%d of %d differ)", name, first, g.Index(first), w.Index(first), different, g.Len())
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
