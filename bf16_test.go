package main

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What training in bfloat16 (-bf16) is: kernels_bf16_test.go has its products.

// oneAnswerBF16 is what the saved model of TestOneAnswerBF16 hashes to, everywhere.
const oneAnswerBF16 = "22e669a59afe7cb478f262dc0aa6f77c8b899690c198664a28baf1636215b51a"

// bf16Settings are threads and instruction sets that have to come to one answer.
var bf16Settings = []string{"GOMAXPROCS=1", workersWanted + "=2", workersWanted + "=3", "GODEBUG=cpu.avx512bf16=off", "GODEBUG=cpu.avx512f=off", "GODEBUG=cpu.all=off"}

// One answer in bfloat16, too: on any number of threads, with VDPBF16PS, with AVX-512 and
// with AVX2 that have none, and with Go alone. It is another one than without -bf16. Where
// -bf16 is slower a line says so.
func TestOneAnswerBF16(t *testing.T) {
	dir := t.TempDir()
	for _, setting := range bf16Settings {
		out := filepath.Join(dir, setting)
		status, _, stderr := runProgram(t, []string{setting}, "", "pretrain", "-bf16", "-corpus", "corpus.txt", "-out", out, "-vocab-size", "500",
			"-layers", "2", "-hidden", "48", "-heads", "3", "-batch", "4", "-max-seq", "40", "-short-seq", "20", "-short-part", "0.5", "-lr", "1e-3", "-steps", "10", "-log-every", "100")
		equal(t, status, exitDone, setting, stderr)
		equal(t, modelSum(t, out), oneAnswerBF16, setting)
		if slow := "-bf16 is slower on this processor"; strings.HasPrefix(setting, "GODEBUG") && !strings.Contains(stderr, slow) {
			t.Errorf("%s: %q, want %q", setting, stderr, slow)
		}
	}
}

// Fine-tuning in bfloat16 has one answer, which is another than without.
func TestOneAnswerOfFinetuningBF16(t *testing.T) {
	model, _ := trained(t)
	questions := filepath.Join(t.TempDir(), "questions.json")
	check(t, os.WriteFile(questions, []byte(fewQuestions), 0o666))
	sum := func(setting string, more ...string) string {
		out := filepath.Join(t.TempDir(), "out")
		status, _, stderr := runProgram(t, []string{setting}, "", append([]string{"finetune", "-model", model, "-task", "answer", "-train", questions, "-eval", questions,
			"-max-seq", "20", "-epochs", "2", "-out", out}, more...)...)
		equal(t, status, exitDone, setting, stderr)
		return modelSum(t, out)
	}
	want := sum(bf16Settings[0], "-bf16")
	for _, setting := range bf16Settings[2:] {
		equal(t, sum(setting, "-bf16"), want, setting)
	}
	if sum(bf16Settings[0]) == want {
		t.Error("-bf16 changes nothing")
	}
}

// A run in bfloat16 that is killed goes on in bfloat16, without its being said again, to the
// model that it would have been; a run is not gone on with in the other arithmetic or with its
// batches in other parts, nor one that is older than the flag with it.
func TestResumeInBF16(t *testing.T) {
	dir := t.TempDir()
	once, twice := filepath.Join(dir, "once"), filepath.Join(dir, "twice")
	run := func(status int, env, want, out string, more ...string) {
		t.Helper()
		args := smallRun(t, dir, append([]string{"-out", out, "-save-every", "5"}, more...)...)
		if got, _, stderr := runProgram(t, strings.Fields(env), "", args...); got != status || !strings.Contains(stderr, want) {
			t.Fatalf("exit status %d, want %d and %q: %s", got, status, want, stderr)
		}
	}
	run(exitDone, "", "", once, "-bf16")
	const killed = -1
	run(killed, killAfter+"=checkpoint-15", "", twice, "-bf16")
	run(exitFailed, "", "-bf16 is false, but "+filepath.Join(twice, "checkpoint-15")+" was made with true", twice, "-resume", "-bf16=false")
	run(exitFailed, "", "-accumulate is 2, but "+filepath.Join(twice, "checkpoint-15")+" was made with 1", twice, "-resume", "-accumulate", "2")
	run(exitDone, "", "", twice, "-resume")
	equal(t, modelSum(t, twice), modelSum(t, once))
	equal(t, metricsWithoutSpeed(t, twice), metricsWithoutSpeed(t, once))

	plain := filepath.Join(dir, "plain")
	run(exitDone, "", "", plain)
	if modelSum(t, plain) == modelSum(t, once) {
		t.Error("-bf16 changes nothing")
	}
	for _, newest := range CheckpointsIn(plain) {
		changeFile(t, newest, trainingFile, func(text string) string {
			_, rest, _ := strings.Cut(strings.Replace(text, "    \"bf16\": \"false\",\n", "", 1), "\n")
			equal(t, strings.Contains(rest, "bf16"), false, "bf16 in training.json")
			return strings.Replace(sumLine, "%s", sumOf([]byte(rest)), 1) + rest
		})
	}
	run(exitFailed, "", "-bf16 is true, but "+CheckpointsIn(plain)[0]+" was made with false", plain, "-resume", "-bf16")
	run(exitDone, "", "going on from", plain, "-resume", "-accumulate", "2")
}

// The gradient in bfloat16 points where that in float32 does, and is about as long.
func TestGradientInBF16(t *testing.T) {
	_, m, b := loadGolden(t)
	gradient := func(on bool) []float32 {
		defer inBF16(on)()
		clear(m.Grad)
		m.Forward(b)
		m.Loss(b)
		m.Backward()
		return append([]float32(nil), m.Grad...)
	}
	exact, rounded := gradient(false), gradient(true)
	var dot, aa, bb float64
	for i, x := range exact {
		y := rounded[i]
		dot, aa, bb = dot+float64(x*y), aa+float64(x*x), bb+float64(y*y)
	}
	cosine, length := dot/math.Sqrt(aa*bb), math.Sqrt(bb/aa)
	t.Logf("cosine %.6f, length %.4f", cosine, length)
	if !(cosine > 0.999 && cosine < 1 && math.Abs(length-1) < 0.01) {
		t.Errorf("the cosine of the two is %v, one is %v times as long as the other", cosine, length)
	}
}

// From PyTorch's start each of 50 steps in bfloat16 has PyTorch's loss within 2%.
func TestLossesInBF16(t *testing.T) {
	defer inBF16(true)()
	data, err := os.ReadFile("testdata/losses.json")
	check(t, err)
	var want []float64
	check(t, json.Unmarshal(data, &want))
	trainer, step, worst := lossesRun(t), 0, 0.0
	trainer.OnReport = func(r Metrics) error {
		off := math.Abs((r.MLMLoss+r.NSPLoss)/want[step] - 1)
		worst = max(worst, off)
		if step++; !(off < 0.02) {
			t.Fatalf("step %d: the loss is %.6f, PyTorch's %.6f", step, r.MLMLoss+r.NSPLoss, want[step-1])
		}
		return nil
	}
	check(t, trainer.Train(t.Context()))
	equal(t, step, len(want))
	t.Logf("at most %.2g%% from PyTorch's", 100*worst)
}
