package main

import (
	"io"
	"math"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// Step 8 of the lesson, measures: how good a fine-tuned model is, counted as the field
// counts it: for labels as GLUE and scikit-learn do, for answers as SQuAD's own script
// does.

// A Score is how good a model is at a task.
type Score interface {
	// Main is the number by which two models are compared, 1 at best, and its name.
	Main() (value float64, name string)
	Write(w io.Writer) // for people to read; score_tables.go
}

// measures score the logits of a model for some cases, by Config.Task. Each task adds its own.
var measures = map[string]func(c *Config, cases []Case, logits [][]float32) Score{}

// ScoreOf is how good a model is for some cases.
func (m *Model) ScoreOf(cases []Case) Score {
	return measures[m.Config.Task()](&m.Config, cases, m.LogitsOf(cases))
}

// A Confusion is a table of how often a label was taken for a label:
// [right][given].
type Confusion [][]int

// NewConfusion is a table for a number of labels, all zeros.
func NewConfusion(labels int) Confusion {
	c := make(Confusion, labels)
	for i := range c {
		c[i] = make([]int, labels)
	}
	return c
}

// sums are how often each label is right, how often it was given, how often the label given
// was the right one, and the total.
func (c Confusion) sums() (right, given []int, hits, total int) {
	right, given = make([]int, len(c)), make([]int, len(c))
	for i, row := range c {
		hits += row[i]
		for j, n := range row {
			right[i] += n
			given[j] += n
			total += n
		}
	}
	return right, given, hits, total
}

// LabelScore is how well one label is told from the others.
type LabelScore struct {
	Label     string  `json:"label"`
	Precision float64 `json:"precision"` // how often it is right where it is given
	Recall    float64 `json:"recall"`    // how often it is given where it is right
	F1        float64 `json:"f1"`        // their harmonic mean
	Count     int     `json:"count"`     // how often it is right
}

// NewLabelScore counts a label: how often it was given and was right, was given, and was
// right. Where a ratio has nothing to count it is 0, as in scikit-learn.
func NewLabelScore(label string, hits, given, right int) LabelScore {
	return LabelScore{label, ratio(float64(hits), given), ratio(float64(hits), right), ratio(float64(2*hits), given+right), right}
}

// ClassScore is how well sentences are classified.
type ClassScore struct {
	Count     int          `json:"count"`
	Accuracy  float64      `json:"accuracy"`
	MacroF1   float64      `json:"macro_f1"` // mean of the F1 of the labels that come up
	Matthews  float64      `json:"matthews"`
	Labels    []LabelScore `json:"labels"`
	Confusion Confusion    `json:"confusion"` // [right][given]
}

// Main is the accuracy.
func (s *ClassScore) Main() (float64, string) { return s.Accuracy, "accuracy" }

// ClassScore counts the table. A label that is neither right nor given anywhere is in no mean,
// as in scikit-learn: its F1 would be 0 whatever the model does.
func (c Confusion) ClassScore(labels []string) ClassScore {
	right, given, hits, total := c.sums()
	s := ClassScore{Count: total, Accuracy: ratio(float64(hits), total), Matthews: c.Matthews(), Confusion: c}
	occurring := 0
	for i, label := range labels {
		l := NewLabelScore(label, c[i][i], given[i], right[i])
		s.Labels = append(s.Labels, l)
		s.MacroF1 += l.F1
		if given[i]+right[i] > 0 {
			occurring++
		}
	}
	s.MacroF1 = ratio(s.MacroF1, occurring)
	return s
}

// Matthews is Matthews' correlation of the labels given with the right ones, for
// any number of labels (Gorodkin 2004): 1 is perfect, 0 no better than chance or
// than always the same. With n sentences, h hits, and each label k right r_k times
// and given g_k times,
//
//	(h·n − Σ r_k·g_k) / √((n² − Σ g_k²)·(n² − Σ r_k²))
func (c Confusion) Matthews() float64 {
	right, given, hits, n := c.sums()
	covariance, ofGiven, ofRight := hits*n, n*n, n*n
	for k := range c {
		covariance -= right[k] * given[k]
		ofGiven -= given[k] * given[k]
		ofRight -= right[k] * right[k]
	}
	if ofGiven == 0 || ofRight == 0 {
		return 0
	}
	return float64(covariance) / (math.Sqrt(float64(ofGiven)) * math.Sqrt(float64(ofRight)))
}

// AnswerScore is how well questions are answered, in per cent as SQuAD has it.
type AnswerScore struct {
	Count      int     `json:"total"`
	ExactMatch float64 `json:"exact"`
	F1         float64 `json:"f1"`
}

// Main is the F1.
func (s *AnswerScore) Main() (float64, string) { return s.F1 / 100, "F1" }

// ScoreAnswers compares answers with what people answered, several to a question;
// none means that it has no answer, and "" is the answer that says so.
func ScoreAnswers(given []string, right [][]string) AnswerScore {
	s := AnswerScore{Count: len(given)}
	for i, answer := range given {
		exact, f1 := 0.0, 0.0
		for _, r := range possibleAnswers(right[i]) {
			if normalizeAnswer(answer) == normalizeAnswer(r) {
				exact = 1
			}
			f1 = max(f1, answerF1(answer, r))
		}
		s.ExactMatch += exact
		s.F1 += f1
	}
	s.ExactMatch, s.F1 = 100*s.ExactMatch/float64(s.Count), 100*s.F1/float64(s.Count)
	return s
}

// possibleAnswers are those of which something is left when they are normalised,
// or "" if none is.
func possibleAnswers(right []string) []string {
	right = slices.DeleteFunc(slices.Clone(right), func(r string) bool { return normalizeAnswer(r) == "" })
	if len(right) == 0 {
		return []string{""}
	}
	return right
}

// answerF1 is the F1 of the words of an answer: the harmonic mean of how much of it
// is right, and how much of the right one it has.
func answerF1(given, right string) float64 {
	a, b := strings.Fields(normalizeAnswer(given)), strings.Fields(normalizeAnswer(right))
	if len(a) == 0 && len(b) == 0 {
		return 1
	}
	left := map[string]int{}
	for _, w := range b {
		left[w]++
	}
	common := 0
	for _, w := range a {
		if left[w] > 0 {
			left[w]--
			common++
		}
	}
	return ratio(float64(2*common), len(a)+len(b))
}

// normalizeAnswer takes away what does not matter in an answer: case, ASCII
// punctuation, the articles a, an and the, and white space but for a single
// blank between words (SQuAD's evaluate-v2.0.py; Go's \b would know ASCII alone).
func normalizeAnswer(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < unicode.MaxASCII && (unicode.IsPunct(r) || unicode.IsSymbol(r)) {
			return -1
		}
		return r
	}, strings.ToLower(s))
	s = pythonWord.ReplaceAllStringFunc(s, func(word string) string {
		if word == "a" || word == "an" || word == "the" {
			return " "
		}
		return word
	})
	return strings.Join(strings.Fields(s), " ")
}

// pythonWord is \w+ of Python's regular expressions: letters and digits of all scripts.
var pythonWord = regexp.MustCompile(`[\pL\pN_]+`)
