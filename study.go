package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Step 8 of the lesson, the transfer study: what pre-training is worth, in one table.
// With a few labels, then with more, the same task is learnt in four ways:
//
//	bag of words  logistic regression on the words of a sentence, whatever their order
//	from scratch  the architecture of the pre-trained model with random weights
//	frozen        the pre-trained encoder as it is, and a new head
//	fine-tuned    the pre-trained encoder and a new head, both trained
//
// The last two show what pre-training adds, and should be held against the first: a
// network from scratch learns so little from so few sentences that it is a weak rival.
// Each is done with several seeds, which draw the sentences to train on, those to test on,
// the first weights and the order.

// ways are the four ways to a classifier.
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
	Config     Config // of the classifier
	Settings   Settings
	Epochs     int
	Seeds      int
	Cases      []Case // all labelled sentences
	Test       []Case // to test on; none: half of each label's cases
	Pairs      bool   // of sentences
}

// studySeeds are enough to see what is chance.
const studySeeds = 5

// Check returns an error if a label has too few cases.
func (s *Study) Check() error {
	for label, cases := range s.byLabel() {
		if n := len(cases); n-s.tested(n) < 1 || s.Test == nil && n < 2 {
			return fmt.Errorf("the label %q has %d sentences, want 2 or more: one to train on and one to test on", s.Config.Labels()[label], n)
		}
	}
	return nil
}

// A StudyRow is how well they do with a number of cases a label.
type StudyRow struct {
	Labels   int                   `json:"labels"` // 0: all there are
	Accuracy map[string]MeanSpread `json:"accuracy"`
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

// studySizes are how many labels a class there are in the rows; 0 is all.
var studySizes = []int{1, 2, 4, 8, 0}

// Run makes the table and shows each row once it is done.
func (s *Study) Run(ctx context.Context, show func(StudyRow) error) error {
	for _, size := range studySizes {
		if size >= s.mostOfALabel() {
			continue // the same as all
		}
		row := StudyRow{size, map[string]MeanSpread{}}
		for _, way := range ways {
			var accuracies []float64
			for seed := range s.Seeds {
				accuracy, err := s.one(ctx, way, size, uint64(seed+1))
				if err != nil {
					return err
				}
				accuracies = append(accuracies, accuracy)
			}
			row.Accuracy[way] = meanSpread(accuracies)
		}
		if err := show(row); err != nil {
			return err
		}
	}
	return nil
}

// one learns the task in one way and returns the accuracy.
func (s *Study) one(ctx context.Context, way string, size int, seed uint64) (float64, error) {
	training, test := s.split(size, seed)
	if way == bagOfWords {
		return s.bagOfWords(ctx, training, test)
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
	if err := tuner.Train(ctx); err != nil {
		return 0, err
	}
	return ratio(float64(m.Confusion(test).Hits()), len(test)), nil
}

// bagOfWords is the accuracy of logistic regression on the tokens of a case, each weighted
// by how much it tells: with a vector of C numbers for each word,
//
//	logits = Σ rarity[token]·word[token] + bias
//	rarity = ln((1 + cases)/(1 + cases that have the token))
func (s *Study) bagOfWords(ctx context.Context, training, test []Case) (float64, error) {
	const steps, rate = 100, 0.5 // of gradient descent
	var ps Parameters
	classes := len(s.Config.Labels())
	word, bias := ps.Matrix("word", s.Config.VocabSize, classes), ps.Bias("bias", classes)
	ps.Allocate()
	rarity := rarityOf(training, s.Config.VocabSize)
	logits := func(c *Case) []float32 {
		sum := slices.Clone(bias.Value)
		for _, id := range c.Tokens {
			addScaled(sum, word.Row(id), rarity[id])
		}
		return sum
	}
	loss := NewCrossEntropy()
	for range steps {
		if ctx.Err() != nil {
			return 0, errInterrupted
		}
		clear(ps.Grad)
		for i := range training {
			dlogits := logits(&training[i])
			loss.ForwardBackward(dlogits, training[i].Labels, 1/float32(len(training)))
			kernels.add(bias.Grad, dlogits)
			for _, id := range training[i].Tokens {
				addScaled(word.GradRow(id), dlogits, rarity[id])
			}
		}
		addScaled(ps.Value, ps.Grad, -rate)
	}
	hits := 0
	for i := range test {
		if argmax(logits(&test[i])) == int(test[i].Labels[0]) {
			hits++
		}
	}
	return ratio(float64(hits), len(test)), nil
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

// addScaled: y += s·x.
func addScaled(y, x []float32, s float32) {
	for i, v := range x {
		y[i] = fma(s, v, y[i])
	}
}

// byLabel are the cases of each label.
func (s *Study) byLabel() [][]Case {
	all := make([][]Case, len(s.Config.Labels()))
	for _, c := range s.Cases {
		all[c.Labels[0]] = append(all[c.Labels[0]], c)
	}
	return all
}

// tested is how many of n cases of a label are tested on.
func (s *Study) tested(n int) int {
	if s.Test != nil {
		return 0
	}
	return n / 2
}

// mostOfALabel is the greatest number of cases of a label to train on.
func (s *Study) mostOfALabel() int {
	most := 0
	for _, cases := range s.byLabel() {
		most = max(most, len(cases)-s.tested(len(cases)))
	}
	return most
}

// split draws the cases to test on, which are the same for all sizes, and size
// others of each label to train on.
func (s *Study) split(size int, seed uint64) (training, test []Case) {
	test = slices.Clone(s.Test)
	for label, cases := range s.byLabel() {
		cases = slices.Clone(cases)
		random(seed, forSplit, uint64(label)).Shuffle(len(cases), func(i, j int) { cases[i], cases[j] = cases[j], cases[i] })
		n := s.tested(len(cases))
		test = append(test, cases[:n]...)
		if cases = cases[n:]; size > 0 {
			cases = cases[:min(size, len(cases))]
		}
		training = append(training, cases...)
	}
	return training, test
}

// studyHeader and the rows below it are the table.
var studyHeader = "   labels" + fmt.Sprintf(strings.Repeat("%16s", len(ways)), bagOfWords, fromScratch, frozen, fineTuned)

func (r StudyRow) String() string {
	labels := fmt.Sprint(r.Labels)
	if r.Labels == 0 {
		labels = "all"
	}
	line := fmt.Sprintf("   %6s", labels)
	for _, way := range ways {
		a := r.Accuracy[way]
		line += fmt.Sprintf("   %5.1f%% ± %4.1f", 100*a.Mean, 100*a.Spread)
	}
	return line
}
