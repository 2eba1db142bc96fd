package main

import (
	"bytes"
	"math"
	"strings"
	"testing"
)

// Labels are scored as scikit-learn scores them.
func TestClassScore(t *testing.T) {
	// right 0 0 0 0 1 1 1 2 2 2, given 0 0 1 2 1 1 0 2 2 1
	s := Confusion{{2, 1, 1}, {1, 2, 0}, {0, 1, 2}}.ClassScore([]string{"a", "b", "c"})
	near := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 1e-9 {
			t.Errorf("%s is %v, want %v", what, got, want)
		}
	}
	near("accuracy", s.Accuracy, 0.6)
	near("precision", s.Labels[1].Precision, 2.0/4)
	near("recall", s.Labels[1].Recall, 2.0/3)
	near("F1", s.Labels[1].F1, 4.0/7)
	near("macro F1", s.MacroF1, (4.0/7+4.0/7+4.0/6)/3)
	// Gorodkin's R₃: (10·6 − (4·3+3·4+3·3)) / √((100−34)·(100−34))
	near("Matthews", s.Matthews, 27.0/66)

	// With two labels it is (TP·TN − FP·FN)/√((TP+FP)(TP+FN)(TN+FP)(TN+FN)).
	tp, tn, fp, fn := 20.0, 15.0, 3.0, 7.0
	near("Matthews of two", Confusion{{int(tn), int(fp)}, {int(fn), int(tp)}}.Matthews(),
		(tp*tn-fp*fn)/math.Sqrt((tp+fp)*(tp+fn)*(tn+fp)*(tn+fn)))
	near("Matthews of always the same", Confusion{{5, 0}, {3, 0}}.Matthews(), 0)
	near("Matthews of always right", Confusion{{5, 0}, {0, 3}}.Matthews(), 1)
	// Of four labels "d" comes up nowhere, "c" is given once and never right: right a a b, given a c b.
	near("macro F1 of labels that come up", Confusion{{1, 0, 1, 0}, {0, 1, 0, 0}, {0, 0, 0, 0}, {0, 0, 0, 0}}.ClassScore([]string{"a", "b", "c", "d"}).MacroF1, (2.0/3+1+0)/3)
	near("macro F1 of nothing", Confusion{{0, 0}, {0, 0}}.ClassScore([]string{"a", "b"}).MacroF1, 0)
	near("F1 of what never comes up", Confusion{{5, 0}, {0, 0}}.ClassScore([]string{"a", "b"}).Labels[1].F1, 0)

	var out bytes.Buffer
	s.Write(&out)
	if lines := strings.Split(out.String(), "\n"); len(lines) != 7 || strings.Join(strings.Fields(lines[4]), " ") != "b 1 2 0 50.0% 66.7% 57.1%" {
		t.Errorf("the table is\n%s", &out)
	}
}

// Answers are compared as SQuAD's script compares them.
func TestAnswerScore(t *testing.T) {
	for in, want := range map[string]string{
		"The  Tooth!":             "tooth",
		"an a the":                "",
		"Theatre, a-theme":        "theatre atheme",
		"the “Tooth” of the sea":  "“tooth” of sea",
		"“a” – b":                 "“ ” – b",
		"café\u00a0Müller\n(x_y)": "café müller xy",
		"$3.50":                   "350",
	} {
		equal(t, normalizeAnswer(in), want)
	}
	equal(t, answerF1("the old water mill", "water mill"), 0.8)
	equal(t, answerF1("mill mill", "mill"), 2.0/3)
	equal(t, answerF1("a", "the"), 1.0)
	equal(t, answerF1("", "mill"), 0.0)

	s := ScoreAnswers([]string{"The Tooth", "old water mill", "", "no"}, [][]string{{"Tooth"}, {"sea", "water mill"}, nil, nil})
	equal(t, s, AnswerScore{4, 50, 100 * (1 + 0.8 + 1) / 4})
}
