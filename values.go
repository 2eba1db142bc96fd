package main

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Step 8 of the lesson, two more tasks for a sentence or a pair: a number, such as how
// alike two sentences are, and several labels at once, of which any may be right or none.
// The head is the classifier's, and what differs is the loss, what is right, and the score.

func init() {
	taskHeads[aNumber] = func(m *Model) TaskHead { return NewClassifier(m, squaredError) }
	measures[aNumber] = measureNumbers
	sentenceTasks[aNumber] = learnNumbers

	taskHeads[severalLabels] = func(m *Model) TaskHead { return NewClassifier(m, yesOrNo) }
	measures[severalLabels] = measureSeveral
	sentenceTasks[severalLabels] = learnSeveral
}

// squaredError is the loss of a number: with y for the logit and t for what is right,
// (y − t)². It is never just right, so that nothing is counted as such.
func squaredError(logits []float32, b *Batch) TaskLoss {
	loss, weight := TaskLoss{Count: len(logits)}, 2/float32(len(logits))
	for i, t := range b.Values {
		d := logits[i] - t
		loss.Sum += float64(float64(d) * float64(d))
		logits[i] = weight * d
	}
	return loss
}

// yesOrNo is the loss of several labels, each of which is asked about by itself: with x for
// its logit and p = 1/(1 + e^(−x)) for how probable it is,
//
//	−ln p = ln(1 + e^(−x)) where it is right, −ln(1 − p) = ln(1 + e^x) where it is not
func yesOrNo(logits []float32, b *Batch) TaskLoss {
	loss, weight := TaskLoss{Count: len(logits)}, 1/float32(len(logits))
	for i, t := range b.Values { // 1 or 0
		x := logits[i]
		against := x // how far it is on the wrong side
		if t == 1 {
			against = -x
		}
		small := exp(-float32(math.Abs(float64(x)))) // cannot overflow
		loss.Sum += float64(max(against, 0)) + ln(1+float64(small))
		if against < 0 {
			loss.Correct++
		}
		logits[i] = weight * (logistic(x) - t)
	}
	return loss
}

// mostNumber is a size that numbers do not have in their right unit: the gradient has their
// squares, which float32 has to hold.
const mostNumber = 1e12

// learnNumbers is for numbers, in decimal digits.
func learnNumbers(c *Config, list []Labelled) (put func(c *Case, l *Labelled) error, err error) {
	c.SetTask(aNumber, []string{"LABEL_0"}) // as Hugging Face calls it
	return func(c *Case, l *Labelled) error {
		v, err := strconv.ParseFloat(l.Label, 32)
		if err != nil || !(math.Abs(v) <= mostNumber) || strings.ContainsAny(l.Label, "xX_") {
			return fmt.Errorf("the label is %q, want a decimal number from %g to %g", l.Label, -mostNumber, mostNumber)
		}
		c.Values = []float32{float32(v)}
		return nil
	}, nil
}

// learnSeveral is for labels any of which may be right, in the order of the alphabet.
func learnSeveral(c *Config, list []Labelled) (put func(c *Case, l *Labelled) error, err error) {
	var labels []string
	for _, l := range list {
		labels = append(labels, SplitLabels(l.Label)...)
	}
	slices.Sort(labels)
	labels = slices.Compact(labels)
	if len(labels) == 0 {
		return nil, errors.New("no line has a label")
	}
	for _, label := range labels {
		if strings.ContainsAny(label, ";|") {
			return nil, fmt.Errorf("there is a label %q: where a sentence has several, part them by commas", label)
		}
	}
	c.SetTask(severalLabels, labels)
	put = func(c *Case, l *Labelled) error {
		c.Values = make([]float32, len(labels))
		for _, label := range SplitLabels(l.Label) {
			n, err := NumberOf(label, labels)
			if err != nil {
				return err
			}
			c.Values[n] = 1
		}
		return nil
	}
	return put, CheckNumberOf(labels)
}

// SplitLabels are labels that commas part.
func SplitLabels(s string) (labels []string) {
	for label := range strings.SplitSeq(s, ",") {
		if label = strings.TrimSpace(label); label != "" {
			labels = append(labels, label)
		}
	}
	return labels
}

// NumberScore is how near numbers are, by how they go together with the right ones: as GLUE
// scores STS-B.
type NumberScore struct {
	Count    int     `json:"count"`
	Pearson  float64 `json:"pearson"`  // 1: the one is the other, but for scale and origin
	Spearman float64 `json:"spearman"` // the same of their ranks
	MeanSq   float64 `json:"mean_squared_error"`
}

// Main is Pearson's correlation.
func (s *NumberScore) Main() (float64, string) { return s.Pearson, "Pearson" }

// measureNumbers compares the logits with the right numbers.
func measureNumbers(c *Config, cases []Case, logits [][]float32) Score {
	var given, right []float64
	s := &NumberScore{Count: len(cases)}
	for i := range cases {
		for k, t := range cases[i].Values {
			y := float64(logits[i][k])
			given, right = append(given, y), append(right, float64(t))
			s.MeanSq += float64((y - float64(t)) * (y - float64(t)))
		}
	}
	s.MeanSq = ratio(s.MeanSq, len(given))
	s.Pearson, s.Spearman = pearson(given, right), pearson(ranks(given), ranks(right))
	return s
}

// pearson is the correlation of x and y, and 0 where one of them is always the same:
//
//	Σ (x − mean x)·(y − mean y) / √(Σ (x − mean x)²·Σ (y − mean y)²)
func pearson(x, y []float64) float64 {
	var meanX, meanY, xy, xx, yy float64
	for i := range x {
		meanX += x[i] / float64(len(x))
		meanY += y[i] / float64(len(y))
	}
	for i := range x {
		dx, dy := x[i]-meanX, y[i]-meanY
		xy += float64(dx * dy)
		xx += float64(dx * dx)
		yy += float64(dy * dy)
	}
	if xx == 0 || yy == 0 {
		return 0
	}
	return xy / float64(math.Sqrt(xx)*math.Sqrt(yy))
}

// ranks are the places of x in ascending order; equal ones share the mean of theirs.
func ranks(x []float64) []float64 {
	sorted, all := slices.Sorted(slices.Values(x)), make([]float64, len(x))
	for i, v := range x {
		first, _ := slices.BinarySearch(sorted, v)
		after, _ := slices.BinarySearch(sorted, math.Nextafter(v, math.Inf(1)))
		all[i] = float64(first+after-1) / 2
	}
	return all
}

// SeveralScore is how well several labels at once are found.
type SeveralScore struct {
	Count    int          `json:"count"`
	Accuracy float64      `json:"accuracy"` // how often all labels of a sentence are right
	MicroF1  float64      `json:"micro_f1"` // of all labels of all sentences
	MacroF1  float64      `json:"macro_f1"` // mean of the labels' F1
	Labels   []LabelScore `json:"labels"`
}

// Main is the F1 of all labels together.
func (s *SeveralScore) Main() (float64, string) { return s.MicroF1, "F1" }

// measureSeveral counts as scikit-learn does. A label is given where it is more probable
// than not.
func measureSeveral(c *Config, cases []Case, logits [][]float32) Score {
	n, whole := c.Outputs(), 0
	hits, given, right := make([]int, n+1), make([]int, n+1), make([]int, n+1) // the last is of all
	for i := range cases {
		same := true
		for k, t := range cases[i].Values {
			yes := logits[i][k] > 0
			same = same && yes == (t == 1)
			for _, at := range []int{k, n} {
				if yes {
					given[at]++
				}
				if t == 1 {
					right[at]++
				}
				if yes && t == 1 {
					hits[at]++
				}
			}
		}
		if same {
			whole++
		}
	}
	s := &SeveralScore{Count: len(cases), Accuracy: ratio(float64(whole), len(cases)), MicroF1: NewLabelScore("", hits[n], given[n], right[n]).F1}
	for k, label := range c.Labels() {
		l := NewLabelScore(label, hits[k], given[k], right[k])
		s.Labels, s.MacroF1 = append(s.Labels, l), s.MacroF1+l.F1/float64(n)
	}
	return s
}
