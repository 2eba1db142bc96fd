package main

import (
	"context"
	"fmt"
	"math"
	"slices"
)

// Step 8 of the lesson, the transfer study: what pre-training is worth, in one table.
// With a few labels, then with more, the same task is learnt in four ways:
//
//	bag of words  regression on the words of a sentence, whatever their order (where words
//	              are labelled, on the pieces of each by itself)
//	from scratch  the architecture of the pre-trained model with random weights
//	frozen        the pre-trained encoder as it is, and a new head
//	fine-tuned    the pre-trained encoder and a new head, both trained
//
// The last two show what pre-training adds, and should be held against the first: a
// network from scratch learns so little from so few sentences that it is a weak rival.
// Each is done with several seeds, which draw the sentences to train on, those to test on,
// the first weights and the order.

// ways are the four ways to do the task.
var ways = [4]string{bagOfWords, fromScratch, frozen, fineTuned}

const (
	bagOfWords  = "bag of words"
	fromScratch = "from scratch"
	frozen      = "frozen"
	fineTuned   = "fine-tuned"
)

// A Study compares them.
type Study struct {
	Pretrained *Model
	Config     Config // of the model for the task
	Settings   Settings
	Epochs     int
	Seeds      int
	Cases      []Case // all labelled sentences
	Test       []Case // to test on; none: half of each class's cases
	Pairs      bool   // of sentences
}

// studySeeds are enough to see what is chance.
const studySeeds = 5

// Check returns an error if a class has too few cases.
func (s *Study) Check() error {
	for class, cases := range s.byClass() {
		if n := len(cases); n-s.tested(n) < 1 || s.Test == nil && n < 2 {
			what := "there are"
			if s.Config.Task() == oneLabel {
				what = fmt.Sprintf("the label %q has", s.Config.Labels()[class])
			}
			return fmt.Errorf("%s %d sentences, want 2 or more: one to train on and one to test on", what, n)
		}
	}
	return nil
}

// A StudyRow is how well they do with a number of cases a class.
type StudyRow struct {
	Labels int                   `json:"labels"` // 0: all there are
	Score  map[string]MeanSpread `json:"score"`  // Score.Main
}

// Size is Labels in words.
func (r StudyRow) Size() string {
	if r.Labels == 0 {
		return "all"
	}
	return fmt.Sprint(r.Labels)
}

// MeanSpread is the mean over the seeds and the standard deviation.
type MeanSpread struct {
	Mean   float64 `json:"mean"`
	Spread float64 `json:"spread"`
}

// meanSpread is the mean and the standard deviation of some values.
func meanSpread(values []float64) (s MeanSpread) {
	n := float64(len(values))
	for _, v := range values {
		s.Mean += v / n
	}
	squares := 0.0
	for _, v := range values {
		squares += float64((v - s.Mean) * (v - s.Mean))
	}
	s.Spread = math.Sqrt(squares / max(n-1, 1))
	return s
}

// studySizes are how many cases a class there are in the rows; 0 is all. Where there are no
// classes it takes more.
var studySizes, studySizesOfAll = []int{1, 2, 4, 8, 0}, []int{8, 16, 32, 64, 0}

// Run makes the table and shows each row once it is done.
func (s *Study) Run(show func(StudyRow) error) error {
	sizes := studySizes
	if s.Config.Task() != oneLabel {
		sizes = studySizesOfAll
	}
	for _, size := range sizes {
		if size >= s.mostOfAClass() {
			continue // the same as all
		}
		row := StudyRow{size, map[string]MeanSpread{}}
		for _, way := range ways {
			var scores []float64
			for seed := range s.Seeds {
				score, err := s.one(way, size, uint64(seed+1))
				if err != nil {
					return err
				}
				scores = append(scores, score)
			}
			row.Score[way] = meanSpread(scores)
		}
		if err := show(row); err != nil {
			return err
		}
	}
	return nil
}

// one learns the task in one way and returns the score.
func (s *Study) one(way string, size int, seed uint64) (float64, error) {
	training, test := s.split(size, seed)
	if way == bagOfWords {
		return s.bagScore(training, test)
	}
	var m *Model
	var err error
	if way == fromScratch {
		m, err = NewModel(s.Config, seed)
	} else {
		m, err = Transfer(s.Pretrained, s.Config, seed, s.Pairs)
	}
	if err != nil {
		return 0, err
	}
	tuner := &Tuner{Model: m, Cases: training, Settings: s.Settings, Epochs: s.Epochs, Freeze: way == frozen}
	tuner.Settings.Seed = seed
	if err := tuner.Train(context.Background()); err != nil {
		return 0, err
	}
	score, _ := m.ScoreOf(test).Main()
	return score, nil
}

// A bag is regression on the tokens of a case, each weighted by how much it tells: with a vector
// of C numbers for each word,
//
//	logits = Σ rarity[token]·word[token] + bias
//	rarity = ln((1 + cases)/(1 + cases that have the token))
type bag struct {
	Parameters
	word, bias *Param    // (V, C), (C)
	rarity     []float32 // (V)
}

// forward returns the logits of a case, or of each of its words.
func (b *bag) forward(c *Case) (logits []float32) {
	for _, tokens := range bagsOf(c) {
		sum := slices.Clone(b.bias.Value)
		for _, id := range tokens {
			AddScaled(sum, b.word.Row(id), b.rarity[id])
		}
		logits = append(logits, sum...)
	}
	return logits
}

// backward adds to the gradients: to bias dlogits, to word[token] rarity[token]·dlogits. The
// gradients of other cases may follow in dlogits; it returns them.
func (b *bag) backward(c *Case, dlogits []float32) (others []float32) {
	classes := len(b.bias.Value)
	for _, tokens := range bagsOf(c) {
		kernels.add(b.bias.Grad, dlogits[:classes])
		for _, id := range tokens {
			AddScaled(b.word.GradRow(id), dlogits[:classes], b.rarity[id])
		}
		dlogits = dlogits[classes:]
	}
	return dlogits
}

// bagScore is the score of a bag. What is wanted of the logits, and the loss, are those of the
// task.
func (s *Study) bagScore(training, test []Case) (float64, error) {
	const steps = 100                    // of gradient descent
	task, err := NewEmptyModel(s.Config) // for its head's loss alone
	if err != nil {
		return 0, err
	}
	b := bag{rarity: rarityOf(training, s.Config.VocabSize)}
	b.word, b.bias = b.Matrix("word", s.Config.VocabSize, s.Config.Outputs()), b.Bias("bias", s.Config.Outputs())
	b.Allocate()
	var batch Batch
	for i := range training {
		batch.AddCase(&training[i])
	}
	rate := s.bagRate(training, b.rarity)
	for range steps {
		clear(b.Grad)
		var logits []float32
		for i := range training {
			logits = append(logits, b.forward(&training[i])...)
		}
		task.head.Loss(logits, &batch)
		dlogits := logits // Loss leaves the gradient there
		for i := range training {
			dlogits = b.backward(&training[i], dlogits)
		}
		AddScaled(b.Value, b.Grad, -rate)
	}
	var logits [][]float32
	for i := range test {
		logits = append(logits, b.forward(&test[i]))
	}
	score, _ := measures[s.Config.Task()](&s.Config, test, logits).Main()
	return score, nil
}

// bagRate is the learning rate of the bag of words: as high as goes well. Too high a one is
// no danger but with numbers, where the square of an error may grow without end.
func (s *Study) bagRate(training []Case, rarity []float32) float32 {
	const rate = 0.5
	switch s.Config.Task() {
	case severalLabels:
		return rate * float32(s.Config.Outputs()) // the loss is a mean over the labels
	case aNumber:
		squares := 0.0
		for i := range training {
			weights := map[int32]float64{}
			for _, id := range training[i].Tokens {
				weights[id] += float64(rarity[id])
			}
			for _, w := range weights {
				squares += float64(w*w) / float64(len(training))
			}
		}
		return float32(rate / (1 + squares))
	}
	return rate
}

// bagsOf are the tokens of a case or, where words have labels, of each of its words.
func bagsOf(c *Case) (bags [][]int32) {
	if len(c.Targets) == 0 {
		return [][]int32{c.Tokens}
	}
	for i, begin := range c.Targets {
		end := len(c.Tokens) - 1 // [SEP]
		if i+1 < len(c.Targets) {
			end = c.Targets[i+1]
		}
		bags = append(bags, c.Tokens[begin:end])
	}
	return bags
}

// rarityOf is the rarity of each token in some cases.
func rarityOf(cases []Case, vocabSize int) []float32 {
	have := make([]int, vocabSize)
	for _, c := range cases {
		for _, id := range slices.Compact(slices.Sorted(slices.Values(c.Tokens))) {
			have[id]++
		}
	}
	rarity := make([]float32, vocabSize)
	for id, n := range have {
		rarity[id] = float32(ln(float64(1+len(cases)) / float64(1+n)))
	}
	return rarity
}

// AddScaled: y += s·x.
func AddScaled(y, x []float32, s float32) {
	for i, v := range x {
		y[i] = fma(s, v, y[i])
	}
}

// byClass are the cases of each class: of each label where each case has one, otherwise of all.
func (s *Study) byClass() [][]Case {
	if s.Config.Task() != oneLabel {
		return [][]Case{s.Cases}
	}
	all := make([][]Case, len(s.Config.Labels()))
	for _, c := range s.Cases {
		all[c.Labels[0]] = append(all[c.Labels[0]], c)
	}
	return all
}

// tested is how many of n cases of a class are tested on.
func (s *Study) tested(n int) int {
	if s.Test != nil {
		return 0
	}
	return n / 2
}

// mostOfAClass is the greatest number of cases of a class to train on.
func (s *Study) mostOfAClass() int {
	most := 0
	for _, cases := range s.byClass() {
		most = max(most, len(cases)-s.tested(len(cases)))
	}
	return most
}

// split draws the cases to test on, which are the same for all sizes, and size
// others of each class to train on.
func (s *Study) split(size int, seed uint64) (training, test []Case) {
	test = slices.Clone(s.Test)
	for class, cases := range s.byClass() {
		cases = slices.Clone(cases)
		random(seed, forSplit, uint64(class)).Shuffle(len(cases), func(i, j int) { cases[i], cases[j] = cases[j], cases[i] })
		n := s.tested(len(cases))
		test = append(test, cases[:n]...)
		if cases = cases[n:]; size > 0 {
			cases = cases[:min(size, len(cases))]
		}
		training = append(training, cases...)
	}
	return training, test
}

// studyHeader and the rows below it are the table. Where there are no classes, "labels" is how
// many sentences have theirs.
var studyHeader = fmt.Sprintf("   labels%16s%16s%16s%16s", bagOfWords, fromScratch, frozen, fineTuned)

func (r StudyRow) String() string {
	line := fmt.Sprintf("   %6s", r.Size())
	for _, way := range ways {
		a := r.Score[way]
		line += fmt.Sprintf("   %5.1f%% ± %4.1f", 100*a.Mean, 100*a.Spread)
	}
	return line
}
